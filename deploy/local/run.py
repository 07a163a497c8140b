"""`python -m deploy.local.run`: the foreground process of `make run`.

Supervisord comes first: it loads libraries for about as long as this process loads its own.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from deploy.local.inherited import of_python
from deploy.local.layout import Layout
from deploy.local.lock import PreflightError, exclusive
from deploy.local.output import say
from deploy.local.privileges import forbid_new, set_parent_death_signal
from deploy.local.settings import StackSettings, explain
from deploy.local.stop_request import StopRequest


def run(settings: StackSettings) -> int:
    """Run the stack until a stop is requested. Return 0 then, and 1 when it cannot start or keep running."""
    layout = Layout.of(settings.data_dir)
    stop = StopRequest()
    began = time.monotonic()
    try:
        with exclusive(layout) as lock, _supervisord(layout, lock) as supervisor:
            # Not at the top: it takes a second.
            from deploy.local import stack

            return stack.run(settings, layout, stop, supervisor, began)
    except PreflightError as problem:
        say(f"Cannot start: {problem}")
        return 1


@contextmanager
def _supervisord(layout: Layout, lock: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start supervisord, which inherits the lock on DATA_DIR. It waits for a line before it reads its configuration."""
    parent = os.getpid()
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "deploy.local.supervisord", "-c", str(layout.supervisor_config)],
        cwd=layout.data_dir,
        env=of_python(os.environ),
        stdin=subprocess.PIPE,
        # The terminal's Ctrl-C must reach the foreground process alone; supervisord must not outlive it.
        start_new_session=True,
        preexec_fn=lambda: _restrict(parent),
        pass_fds=[lock],
    )
    try:
        yield supervisor
    finally:
        if supervisor.returncode is None:
            supervisor.kill()
            supervisor.wait()


def _restrict(parent: int) -> None:
    """In supervisord's process: no program of the stack gains privileges, and supervisord ends with its parent."""
    forbid_new()
    set_parent_death_signal(parent, signal.SIGTERM)


def main() -> int:
    """Run the stack with the settings of the environment. Return 2 when one of them is wrong."""
    try:
        settings = StackSettings()
    except ValidationError as error:
        for line in explain(error):
            sys.stderr.write(f"Cannot start: {line}\n")
        return 2
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
