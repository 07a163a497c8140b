"""The memory of the machine, or of the container where it has a bound."""

from contextlib import suppress
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


def total_bytes() -> int:
    """Return all of the memory."""
    total = psutil.virtual_memory().total
    with suppress(OSError, ValueError):
        total = min(total, int((_CGROUP / "memory.max").read_text()))
    return total


def free_bytes() -> int:
    """Return what a new process can have."""
    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):
        bound, used = ((_CGROUP / name).read_text() for name in ("memory.max", "memory.current"))
        free = min(free, int(bound) - int(used))
    return free
