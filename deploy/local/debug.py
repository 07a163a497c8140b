"""One worker in the foreground, in place of the stack's own: `make debug`."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from deploy.local.control import ControlError, ProcessState, process_states, start_process, stop_process
from deploy.local.layout import Layout
from deploy.local.output import say
from deploy.local.settings import StackSettings
from deploy.local.supervise import SERVICE_STOP_SECONDS

_POLL_SECONDS = 0.05
_STOP_SECONDS = SERVICE_STOP_SECONDS + 3


def debug(settings: StackSettings, service: str) -> int:
    """Stop the first worker of a service, run it on this terminal with the same environment, and start it again.

    So `breakpoint()` in the service's code opens the debugger here. Return 1 when no such worker is running.
    """
    layout = Layout.of(settings.data_dir)
    supervisor = layout.supervisor_socket
    name = f"{service}-0"
    worker = _find(supervisor, name)
    if worker is None or not worker.pid:
        say(f"no {name} is running on {settings.data_dir}")
        return 1
    environment = psutil.Process(worker.pid).environ()
    try:
        stop_process(supervisor, worker)
        _wait_until_stopped(supervisor, name)
        say(f"{name} runs here, on {environment['LISTEN']}. breakpoint() opens the debugger, Ctrl-C ends the worker.")
        return _run_in_foreground([sys.executable, "-m", f"{service}_service"], environment, layout.data_dir)
    finally:
        with suppress(ControlError):
            start_process(supervisor, worker)
            say(f"{name} runs in the stack again")


def _find(supervisor_socket: Path, name: str) -> ProcessState | None:
    return next((process for process in process_states(supervisor_socket) or [] if process.name == name), None)


def _wait_until_stopped(supervisor_socket: Path, name: str) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while (process := _find(supervisor_socket, name)) and process.pid and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _run_in_foreground(command: list[str], environment: dict[str, str], folder: Path) -> int:
    with subprocess.Popen(command, env=environment, cwd=folder) as process:
        # Ctrl-C is for the worker, which then shuts down in order.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return process.wait()
