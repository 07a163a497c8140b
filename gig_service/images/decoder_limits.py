"""The limits of a decoder process, set by itself before its first picture. Imports the standard library alone."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

NICENESS = 10
_PR_SET_PDEATHSIG = 1


def apply_limits(parent: int, memory_mib: int, cpu_seconds: int) -> None:
    """Limit this process: its address space, its CPU time, and its life to that of the process `parent`."""
    # A decoder is stopped in the middle of C code, where a Python signal handler does not run.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the parent-death signal was set
        os._exit(0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mib * 2**20,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds,) * 2)
    os.nice(NICENESS)
