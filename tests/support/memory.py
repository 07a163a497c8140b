"""The memory of a stack's processes."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.support.stack import Stack


def resident_mib(stack: Stack) -> dict[str, int]:
    """Return the resident memory of each process in MiB, by the names of `Stack.processes`."""
    return _from_status(stack, "VmRSS")


def reset_peaks(stack: Stack) -> None:
    """Forget the greatest memory of all processes so far; `peak_mib` then tells the greatest since."""
    for process in stack.processes().values():
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def peak_mib(stack: Stack) -> dict[str, int]:
    """Return the greatest resident memory of each process since `reset_peaks` in MiB."""
    return _from_status(stack, "VmHWM")


def _from_status(stack: Stack, field: str) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, process in stack.processes().items():
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except (OSError, psutil.Error):
            continue
        values = dict(line.split(":", 1) for line in lines)
        if field in values:
            sizes[name] = int(values[field].split()[0]) // 1024
    return sizes
