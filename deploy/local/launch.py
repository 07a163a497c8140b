"""`python launch.py SIGNAL [OPTIONS] command...`: become the command, with what a part of the stack needs and no more.

Every part of the stack is started through it. SIGNAL becomes the parent-death signal, so that no part outlives
supervisord, however that ends. It costs some milliseconds: it runs as a file, isolated and without site-packages.

--environment FILE       the command's whole environment, a JSON object; the default is the current one
--log FILE               the file that the command's output is added to, instead of supervisord's pipe
--run-as UID:GID[:CAP]   when root runs this: the command's uid, gid, and the number of the one capability that it keeps
--folder NUMBER          a file descriptor on the current folder, for the command to open files through `/dev/fd/NUMBER`
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# Isolated, Python does not read PYTHONPATH.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from deploy.local.privileges import Identity, become, set_parent_death_signal


class Command(NamedTuple):
    """A program to execute, with its command line and its environment."""

    program: str
    words: list[str]
    environment: dict[str, str]


def prepare(arguments: Sequence[str]) -> Command:
    """Set everything for this process, as the arguments say, and return the command that it is to become."""
    parent = os.getppid()
    number, *words = arguments
    options: dict[str, str] = {}
    while words[0].startswith("--"):
        options[words[0]] = words[1]
        words = words[2:]
    environment = dict(os.environ)
    if "--environment" in options:
        environment = json.loads(Path(options["--environment"]).read_text())
    if "--log" in options:
        _write_to(options["--log"])
    if "--folder" in options:
        os.dup2(os.open(".", os.O_PATH | os.O_DIRECTORY), int(options["--folder"]))
    program = words[0]
    if "--run-as" in options and os.geteuid() == 0:
        identity = Identity.parse(options["--run-as"])
        # Envoy opens its output again by its name.
        for stream in (1, 2):
            os.fchown(stream, identity.uid, identity.gid)
        # Below a folder that only root may enter, the program is reached through this descriptor.
        folder = os.open(Path(program).parent, os.O_PATH | os.O_DIRECTORY)
        become(identity)
        program = f"/proc/self/fd/{folder}/{Path(program).name}"
    set_parent_death_signal(parent, signal.Signals[number])
    return Command(program, words, environment)


def _write_to(log: str) -> None:
    """Make a file this process's output. Each write goes to its end, also after `log_rotation` has emptied it."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


def main() -> None:
    """Set everything and execute the command."""
    os.execve(*prepare(sys.argv[1:]))


if __name__ == "__main__":
    main()
