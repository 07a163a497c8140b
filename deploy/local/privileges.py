"""The privileges of the local stack's processes: uid and capabilities, user namespaces, adoption of orphans.

PostgreSQL refuses to run as root. So root runs it under an unprivileged uid, which cannot reach binaries and data below
a folder such as `/root` (0700). It then keeps one capability that lets it pass such folders. SECBIT_NO_SETUID_FIXUP is
needed: without it access(2), which PostgreSQL calls for its own binary, ignores capabilities.
"""

import os
import pwd
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from servicekit import linux
from servicekit.privileges import forbid_new, set_parent_death_signal

__all__ = [
    "Identity",
    "adopt_orphans",
    "become",
    "borrow_name",
    "can",
    "forbid_new",
    "has_name",
    "identity_reaching",
    "set_parent_death_signal",
]

# linux/capability.h
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAP_NET_BIND_SERVICE = 10

UNPRIVILEGED_ID = 65534


@dataclass(frozen=True)
class Identity:
    """The uid and gid of a process, and the one capability that it keeps (`None`: none)."""

    uid: int
    gid: int
    capability: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Identity":
        """Return the identity that its text names."""
        return cls(*(int(part) for part in text.split(":")))

    def __str__(self) -> str:
        """Return uid, gid and, if there is one, the capability's number, with colons between them."""
        return ":".join(str(part) for part in (self.uid, self.gid, self.capability) if part is not None)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies (subreaper)."""
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)


def become(identity: Identity) -> None:
    """Give up root for good: change uid and gid, drop all groups and all capabilities but one. Raises OSError.

    Does nothing when the process is not root.
    """
    if os.geteuid() != 0:
        return
    if identity.capability is not None:
        linux.prctl(linux.PR_SET_SECUREBITS, linux.SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)
    if identity.capability is not None:
        linux.set_capabilities(identity.capability)
        linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_RAISE, identity.capability)


def has_name() -> bool:
    """Return whether this process's uid has a name on this machine; in a container it may have none."""
    return any(entry.pw_uid == os.geteuid() for entry in pwd.getpwall())


def borrow_name() -> None:
    """Enter a new user namespace in which this process's uid appears as one that has a name.

    Permissions and the owner of new files stay the same. Raises OSError where the system forbids user namespaces.
    """
    named = next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{named.pw_uid} {uid} 1"),
        ("gid_map", f"{named.pw_gid} {gid} 1"),
    ):
        Path("/proc/self", name).write_text(text)


def identity_reaching(uid: int, gid: int, paths: Iterable[Path]) -> Identity:
    """Return the least privileged identity with this uid that can read all `paths`, as tried in a child process.

    CAP_DAC_READ_SEARCH is enough; containers often withhold it and leave CAP_DAC_OVERRIDE. Raises PermissionError
    with a remedy when neither helps.
    """
    paths = list(paths)
    for capability in (None, CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        identity = Identity(uid, gid, capability)
        if _reaches(identity, paths):
            return identity
    shown = " and ".join(str(path) for path in paths)
    raise PermissionError(
        f"PostgreSQL cannot run as root, and uid {uid} cannot reach {shown}. Move the checkout and DATA_DIR below "
        "folders that everyone may enter (chmod o+x), or run as an ordinary user"
    )


def _reaches(identity: Identity, paths: list[Path]) -> bool:
    return can(identity, lambda: all(os.access(path, os.R_OK | os.X_OK) for path in paths))


def can(identity: Identity, attempt: Callable[[], bool]) -> bool:
    """Return the result of `attempt` under an identity, in a child process; an OSError is False."""
    child = os.fork()
    if child == 0:
        try:
            become(identity)
            os._exit(0 if attempt() else 1)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
