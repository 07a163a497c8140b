"""The attempts of a confined process to get out, for test_confinement."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: int) -> str:
    """Return the name of the error of a system call, by its number on x86-64 where the C library has no function."""
    result = _libc.syscall(number, *(ctypes.c_ulong(argument) for argument in arguments))
    return errno.errorcode[ctypes.get_errno()] if result < 0 else f"got {result}"


def _unix() -> None:
    socket.socket(socket.AF_UNIX).connect("\0anything")


def attempt(public: str) -> dict[str, object]:
    """Return the result of each attempt: the name of its error, or what it got."""
    parent = os.getppid()
    attempts: dict[str, Callable[[], object]] = {
        "read /etc/passwd": lambda: Path("/etc/passwd").read_text(),
        "read a file for everyone": lambda: Path(public, "file").read_text(),
        "list a folder": lambda: list(Path(public).iterdir()),
        "write a file": lambda: Path(public, "new").write_text("x"),
        "open a socket": lambda: socket.socket(),
        "open a Unix socket": _unix,
        "execute a program": lambda: os.execv("/bin/true", ["true"]),
        "fork": os.fork,
        "signal the parent": lambda: os.kill(parent, signal.SIGTERM),
        "trace the parent": lambda: _call(101, 16, parent),
        "read the parent's memory": lambda: _call(310, parent, 0, 0, 0, 0, 0),
        "unshare a user namespace": lambda: _call(272, 0x10000000),
        "become root": lambda: os.setuid(0),
        "mount": lambda: _call(165, 0, 0, 0, 0, 0),
        "more processor time": lambda: resource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6)),
        "a device": lambda: _call(16, 0, 0x5401, 0),
        "the key ring": lambda: _call(250, 0, 0, 0, 0),
        "io_uring": lambda: _call(425, 8, 0),
        "bpf": lambda: _call(321, 0, 0, 0),
        "memory": lambda: len(bytearray(2**24)),
    }
    results: dict[str, object] = {}
    for name, what in attempts.items():
        try:
            results[name] = what()
        except (OSError, ValueError) as error:
            results[name] = type(error).__name__
    return results
