"""The confinement of a decoder process, which it applies to itself before its first picture.

A decoder works on bytes of strangers with libraries in C. It gets open files and nothing else: no environment, no
network, no file system, no other process, no root, and bounded memory and time. Imports nothing but the standard
library and wrappers of Linux calls.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import landlockpy
import seccompy

from servicekit import linux

NICENESS = 10
# Far more than a picture of 50 megapixels has in any format.
LARGEST_FILE = 512 * 2**20
OPEN_FILES = 32

_LAST_CAPABILITY = 63
# linux/fcntl.h
_AT_EMPTY_PATH = 0x1000
# Memory, time, open files, and the end of the process. Everything else fails with EPERM.
SYSCALLS = (
    *("read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "fstat", "ftruncate", "fcntl", "close"),
    *("recvmsg", "recvfrom", "sendmsg", "sendto", "poll", "ppoll"),
    *("brk", "mmap", "munmap", "mremap", "mprotect", "madvise"),
    # Pillow compares the names of files that it reads and writes.
    "getcwd",
    *("clock_gettime", "gettimeofday", "getrandom", "sched_yield", "futex", "getpid", "gettid", "getrusage"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "exit", "exit_group"),
)


@dataclass(frozen=True)
class Limits:
    """Limits of a decoder: MiB of address space, seconds of CPU, and the uid and gid that it has under root."""

    memory_mib: int
    cpu_seconds: int
    uid: int
    gid: int


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies."""
    if sys.platform == "linux":
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the parent-death signal was set
        os._exit(0)


def prepare() -> None:
    """Load what `confine` needs from the file system, since its last steps have none."""
    seccompy.supported()
    with suppress(OSError):
        landlockpy.Ruleset().close()


def confine(limits: Limits, parent: int) -> list[str]:
    """Confine this process, and return what of it the machine does not allow: names for a log line.

    Raises OSError when a part fails that every machine allows. `parent`: the process whose death is this one's too.
    """
    # A decoder is stopped in the middle of C code, where a Python signal handler does not run.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    has_own_network = _give_up_privileges(limits)
    _limit(limits)
    missing = [] if has_own_network else ["network namespace"]
    if not sys.platform.startswith("linux"):
        return [*missing, "landlock", "seccomp"]
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    # After the change of uid, which clears the parent-death signal.
    die_with(parent)
    return missing + [name for name, step in (("landlock", _landlock), ("seccomp", _seccomp)) if not _tried(step)]


def _tried(step: Callable[[], None]) -> bool:
    """Return whether the step succeeds; a machine may lack it."""
    try:
        step()
    except (OSError, seccompy.SeccompError):
        return False
    return True


def _give_up_privileges(limits: Limits) -> bool:
    """Give up root and all capabilities. Return whether this process has an empty network of its own."""
    flags = linux.CLONE_NEWNET | linux.CLONE_NEWIPC
    has_own_network = os.geteuid() == 0 and _tried(lambda: linux.unshare(flags))
    if os.geteuid() == 0:
        for capability in range(_LAST_CAPABILITY + 1):
            with suppress(OSError):  # the kernel does not have all of them
                linux.prctl(linux.PR_CAPBSET_DROP, capability)
        os.setgroups([])
        os.setresgid(limits.gid, limits.gid, limits.gid)
        os.setresuid(limits.uid, limits.uid, limits.uid)
    # Without root, only in a user namespace of one's own, which gives all capabilities within it.
    has_own_network = has_own_network or _tried(lambda: linux.unshare(flags | linux.CLONE_NEWUSER))
    linux.set_capabilities()
    return has_own_network


def _limit(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_mib * 2**20,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE,) * 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES,) * 2)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    os.nice(NICENESS)


def _landlock() -> None:
    """Forbid every path, every port, and signals to other processes."""
    scoped = landlockpy.Scope.SIGNAL | landlockpy.Scope.ABSTRACT_UNIX_SOCKET
    with landlockpy.Ruleset(scoped=scoped) as nothing:
        nothing.restrict()


def _filter() -> seccompy.Filter:
    allowed = seccompy.Filter(default=seccompy.Action.ERRNO | errno.EPERM)
    for name in SYSCALLS:
        with suppress(ValueError):  # processors of other kinds lack some
            allowed.allow(name)
    # The C library's way to ask for the size of an open file.
    allowed.allow("newfstatat", args=[(3, seccompy.CmpOp.EQ, _AT_EMPTY_PATH)])
    return allowed


def _seccomp() -> None:
    _filter().load()
