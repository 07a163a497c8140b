"""The logs of the stack on a terminal: `make logs`."""

import subprocess
import sys
from pathlib import Path

from deploy.local.layout import Layout
from deploy.local.output import say
from deploy.local.settings import StackSettings

_LINES = 20


def show_logs(settings: StackSettings, service: str | None) -> int:
    """Follow the logs until Ctrl-C; when the output is no terminal, print their newest lines and return.

    A service stands for the logs of its processes; a process (`gig-0`, `envoy`, `postgres`) for its own. Return 1 when
    there is no such log.
    """
    folder = Layout.of(settings.data_dir).logs
    files = log_files(folder, service)
    if not files:
        names = ", ".join(path.stem for path in log_files(folder, None))
        say(f"no log of {service} in {folder}, which has: {names}" if names else f"no logs in {folder}")
        return 1
    follow = ["-F"] if sys.stdout.isatty() else []
    try:
        return subprocess.run(["tail", "-n", str(_LINES), *follow, *files], check=False).returncode
    except KeyboardInterrupt:
        return 0


def log_files(folder: Path, service: str | None) -> list[Path]:
    """Return the logs of a service or a process, or all logs; without those that were rotated."""
    return sorted(
        path
        for path in folder.glob("*.log")
        if service is None or path.stem == service or path.stem.startswith(f"{service}-")
    )
