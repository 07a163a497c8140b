"""Upload a file: first its bytes, then its row.

A process that dies on the way leaves at most bytes without a row, which the orphan sweeper deletes.
"""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from order_service.domain.file import UNKNOWN, FileLabel, FileStatus, clean_name, media_type
from order_service.store.store import Store
from servicekit.crash import crash_point
from servicekit.database import DatabaseAway, retry_conflicts
from servicekit.errors import Unavailable
from servicekit.ids import new_id
from servicekit.storage.storage import Storage, new_key
from servicekit.uploads.bodies import ReceivedFile


class UploadFile:
    """Stores files. With `is_scanned` a scanner looks at them first. It blocks on the database and the storage."""

    def __init__(self, store: Store, storage: Storage, *, is_scanned: bool) -> None:
        self._store = store
        self._storage = storage
        self._first_status = FileStatus.CHECKING if is_scanned else FileStatus.READY

    def check_allowed(self, owner_id: UUID) -> None:
        """Raise Conflict (LIMIT_REACHED) when the user can have no further file, before its body arrives."""
        self._store.files.check_room(owner_id, 1)

    def execute(self, received: ReceivedFile, name: str, owner_id: UUID) -> FileLabel:
        """Store the file under the name of its part, else under `name`, and return what is shown of it.

        Raises Conflict (LIMIT_REACHED), Unauthenticated when the owner is erased, and Unavailable. After DatabaseAway
        it is not known whether there is a file.
        """
        label = FileLabel(
            new_id(),
            clean_name(received.name or name),
            received.size,
            media_type(received.declared),
            self._first_status,
        )
        key = new_key()
        try:
            # The storage tells neither the name nor the type.
            self._storage.put(key, received.path, UNKNOWN)
            crash_point("file stored")
            self._add(label, owner_id, key)
        except DatabaseAway:
            # The commit may have succeeded, so the bytes stay. If it has not, the orphan sweeper deletes them.
            raise
        except BaseException:
            with suppress(Unavailable):
                self._storage.delete(key)
            raise
        return label

    @retry_conflicts
    def _add(self, label: FileLabel, owner_id: UUID, key: str) -> None:
        with self._store.transaction("file"):
            self._store.files.add(label, owner_id, key)
