"""Linux calls that Python does not wrap. It imports the standard library alone, since decoders of pictures use it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
_PR_SET_MM = 35
_PR_SET_MM_MAP = 14
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
_PR_GET_PDEATHSIG = 2
# linux/securebits.h
SECBIT_NO_SETUID_FIXUP = 1 << 2
# linux/sched.h
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
# linux/capability.h
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


class _MemoryMap(ctypes.Structure):
    """The addresses that the kernel knows of a process (`prctl_mm_map` of linux/prctl.h)."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("start_code", "end_code", "start_data", "end_data", "start_brk", "brk")),
        *((name, ctypes.c_uint64) for name in ("start_stack", "arg_start", "arg_end", "env_start", "env_end", "auxv")),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_uint32),
    )


# The kernel reads them whenever somebody looks into /proc.
_shown: list[ctypes.Array[ctypes.c_char]] = []


def prctl(option: int, *arguments: int) -> None:
    """Set an attribute of this process. Raises OSError."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    _check(_libc.prctl(option, *(ctypes.c_ulong(argument) for argument in padded)), f"prctl({option})")


def parent_death_signal() -> int:
    """Return the signal that this process gets when its parent dies; 0 for none."""
    number = ctypes.c_int()
    if _libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(number), *(ctypes.c_ulong(0),) * 3) != 0:
        return 0
    return number.value


def set_capabilities(*capabilities: int) -> None:
    """Have this process keep these capabilities, all below 32, and no other. Raises OSError."""
    bits = sum(1 << capability for capability in capabilities)
    header = _Header(_CAPABILITY_VERSION_3, 0)
    sets = (_Sets * 2)(_Sets(bits, bits, bits), _Sets(0, 0, 0))
    _check(_libc.capset(ctypes.byref(header), sets), "capset")


def show_command(words: Sequence[str], environment: Mapping[str, str]) -> None:
    """Have /proc show this command line and environment for this process. Raises OSError where the kernel cannot."""
    arguments = _strings(words)
    variables = _strings(f"{name}={value}" for name, value in environment.items())
    # The fields of proc_pid_stat(5), from the third one on: the second may have spaces in it.
    fields = [0, 0, 0, *map(_number, Path("/proc/self/stat").read_text().rpartition(")")[2].split())]
    _libc.sbrk.restype = ctypes.c_void_p
    known = _MemoryMap(
        start_code=fields[26],
        end_code=fields[27],
        start_stack=fields[28],
        start_data=fields[45],
        end_data=fields[46],
        start_brk=fields[47],
        brk=_libc.sbrk(0),
        arg_start=ctypes.addressof(arguments),
        arg_end=ctypes.addressof(arguments) + len(arguments),
        env_start=ctypes.addressof(variables),
        env_end=ctypes.addressof(variables) + len(variables),
        exe_fd=0xFFFFFFFF,
    )
    prctl(_PR_SET_MM, _PR_SET_MM_MAP, ctypes.addressof(known), ctypes.sizeof(known))
    _shown[:] = [arguments, variables]


def _number(text: str) -> int:
    """Return a field of proc_pid_stat(5); the state of the process is a letter, which counts as 0."""
    return int(text) if text.lstrip("-").isdigit() else 0


def _strings(texts: Iterable[str]) -> ctypes.Array[ctypes.c_char]:
    """Return the texts, each ended by a zero byte."""
    joined = b"".join(os.fsencode(text) + b"\0" for text in texts)
    return ctypes.create_string_buffer(joined, len(joined))


def unshare(flags: int) -> None:
    """Enter new namespaces. Raises OSError where the system forbids them."""
    _check(_libc.unshare(flags), "unshare")


def syncfs(path: Path) -> None:
    """Write everything that waits for the file system of a path to the disk. Raises OSError where that fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _check(_libc.syncfs(descriptor), "syncfs")
    finally:
        os.close(descriptor)


def _check(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
