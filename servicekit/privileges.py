"""The privileges of a process: a process that root starts gives them up once it has read what only root can read."""

import ctypes
import os

# linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


def drop(run_as: str) -> None:
    """Give up root for good: change to `run_as` (`uid:gid`), with no groups and no capabilities. Raises OSError.

    Without root the uid stays. In both cases no program that the process executes can gain privileges. Modules that
    are imported afterwards must be readable for the new uid.
    """
    if os.geteuid() == 0:
        uid, gid = (int(part) for part in run_as.split(":"))
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        # The kernel clears all capabilities with this change.
        os.setresuid(uid, uid, uid)
    forbid_new()


def forbid_new() -> None:
    """Set `no_new_privs` for this process and its children. Raises OSError."""
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(value) for value in (1, 0, 0, 0))) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
