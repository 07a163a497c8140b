"""Linux calls that Python does not wrap. It imports the standard library alone, since decoders of pictures use it."""

from __future__ import annotations

import ctypes
import os

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
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


def unshare(flags: int) -> None:
    """Enter new namespaces. Raises OSError where the system forbids them."""
    _check(_libc.unshare(flags), "unshare")


def _check(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
