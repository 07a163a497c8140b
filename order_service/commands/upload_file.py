"""Upload a file: first its bytes, then its row, which can be tried again while there is no primary.

A process that dies on the way leaves at most bytes without a row, which the orphan sweeper deletes.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from order_service.domain.file import UNKNOWN, FileLabel, FileStatus, clean_name, media_type
from order_service.store.store import Store
from servicekit.crash import crash_point
from servicekit.database import retry_conflicts
from servicekit.ids import new_id
from servicekit.storage.storage import Storage, deleted_on_failure, new_key
from servicekit.uploads.bodies import ReceivedFile


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file whose bytes are stored under `key`, and that has no row yet."""

    label: FileLabel
    key: str


class UploadFile:
    """Stores files. With `is_scanned` a scanner looks at them first. It blocks on the database and the storage."""

    def __init__(self, store: Store, storage: Storage, *, is_scanned: bool) -> None:
        self._store = store
        self._storage = storage
        self._first_status = FileStatus.CHECKING if is_scanned else FileStatus.READY

    def check_allowed(self, owner_id: UUID) -> None:
        """Raise Conflict (LIMIT_REACHED) when the user can have no further file, before its body arrives."""
        self._store.files.check_room(owner_id, 1)

    def store(self, received: ReceivedFile, name: str) -> StoredFile:
        """Store the bytes of a file with the name of its part, else with `name`. Raises Unavailable."""
        label = FileLabel(
            new_id(),
            clean_name(received.name or name),
            received.size,
            media_type(received.declared),
            self._first_status,
        )
        key = new_key()
        with deleted_on_failure(self._storage, [key]):
            # The storage tells neither the name nor the type.
            self._storage.put(key, received.path, UNKNOWN)
        crash_point("file stored")
        return StoredFile(label, key)

    def add(self, stored: StoredFile, owner_id: UUID) -> FileLabel:
        """Add the row of a stored file, and return what is shown of it.

        Raises Conflict (LIMIT_REACHED), Unauthenticated when the owner is erased, and Unavailable; the bytes are then
        deleted. After DatabaseAway it is not known whether there is a file, and they stay: the orphan sweeper deletes
        those without a row.
        """
        with deleted_on_failure(self._storage, [stored.key]):
            self._add(stored.label, owner_id, stored.key)
        return stored.label

    @retry_conflicts
    def _add(self, label: FileLabel, owner_id: UUID, key: str) -> None:
        with self._store.transaction("file"):
            self._store.files.add(label, owner_id, key)
