"""The list of erased users: one in DATA_DIR, outside of the databases, and one beside the backups.

Backups that are older than an erasure bring the user back. The list says who has to be erased again after a restore.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

NAME = "erased-users"


class ErasedUsersFile:
    """A list of the users whose erasure has begun: a line each, the id and the time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def beside(cls, backups: Path) -> ErasedUsersFile:
        """Return the list beside the backups of a folder."""
        return cls(backups / NAME)

    def ids(self) -> list[UUID]:
        """Return the ids, oldest first, each once. Raises OSError, and ValueError for a line that has none."""
        if not self._path.exists():
            return []
        lines = [line.split() for line in self._path.read_text().splitlines()]
        return list(dict.fromkeys(UUID(words[0]) for words in lines if words))

    def add(self, *users: UUID) -> None:
        """Add users that are not there, and return when their lines are on the disk. Raises OSError and ValueError."""
        known = self.ids()
        lines = [f"{user} {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n" for user in users if user not in known]
        if not lines:
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, "".join(lines).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def take_from(self, other: ErasedUsersFile) -> None:
        """Add the users of another list. Raises OSError and ValueError."""
        self.add(*other.ids())
