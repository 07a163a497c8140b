"""What a decoder may not do, set by itself before its first picture. Imports nothing but the standard library."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

NICENESS = 10
_PR_SET_PDEATHSIG = 1


def confine(parent: int, memory_mib: int, cpu_seconds: int) -> None:
    """Bounds this process for as long as it lives: its address space, its time on a core, and its parent's life."""
    # A decoder is stopped in the middle of C code, where a handler written in Python would not get its turn.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mib * 2**20,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds,) * 2)
    os.nice(NICENESS)
