"""Files that people send each other: their rows, and where they were sent. Their bytes lie in the storage of files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from order_service.domain.file import File, FileLabel, FileStatus, check_room
from servicekit.call import Caller
from servicekit.database import Database, Row, Statement
from servicekit.erased_users import is_erased
from servicekit.errors import Conflict, NotFound, Unauthenticated
from servicekit.outbox import Outbox

# The outbox's topic for files to be deleted from the storage. A row's key is the file's id, its payload {"keys": […]}.
FILES = "files"
# Keys and files in one statement.
BATCH = 500

COLUMNS = "id, name, size, type, status, owner_id, key, created_at, sent_at"
# A lock of the transaction: a user without a file has no row that could be locked.
LOCK_OWNER = Statement("SELECT pg_advisory_xact_lock(hashtextextended('files:' || $1::text, 0))")
UNSENT = Statement("""
    SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes
    FROM files WHERE owner_id = $1 AND sent_at IS NULL
""")
# An upload takes minutes: its owner may be erased since its token was checked.
ADD = Statement(f"""
    INSERT INTO files (id, owner_id, key, name, size, type, status, created_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, app_now() WHERE NOT {is_erased("$2")} RETURNING {COLUMNS}
""")
# $2 is the reader, $3 whether it is an admin.
READABLE = Statement(f"""
    SELECT {COLUMNS} FROM files WHERE id = $1 AND (
        $3 OR owner_id = $2
        OR EXISTS (
            SELECT FROM message_files JOIN messages ON messages.id = message_id
                JOIN conversations ON conversations.id = conversation_id
            WHERE file_id = files.id AND $2 IN (starter_id, conversations.owner_id)
        )
        OR EXISTS (
            SELECT FROM delivery_files JOIN orders ON orders.id = order_id
            WHERE file_id = files.id AND $2 IN (buyer_id, seller_id)
        )
    )
""")
OWN = Statement("SELECT id FROM files WHERE id = ANY ($1::uuid[]) AND owner_id = $2")
LOCK_OWN = Statement("""
    SELECT id, name, size, type, status FROM files WHERE id = ANY ($1::uuid[]) AND owner_id = $2
    ORDER BY id FOR NO KEY UPDATE
""")
MARK_SENT = Statement("UPDATE files SET sent_at = app_now() WHERE id = ANY ($1::uuid[]) AND sent_at IS NULL")
SEND_IN_MESSAGE = Statement("""
    INSERT INTO message_files (message_id, position, file_id)
    SELECT $2, position, file_id FROM unnest($1::uuid[]) WITH ORDINALITY AS sent (file_id, position)
""")
SEND_IN_DELIVERY = Statement("""
    INSERT INTO delivery_files (order_id, version, position, file_id)
    SELECT $2, $3, position, file_id FROM unnest($1::uuid[]) WITH ORDINALITY AS sent (file_id, position)
""")


def _removing(files: str) -> Statement:
    """Return the statement that locks and deletes the rows of these files, and returns ids and keys.

    They are gone from all messages and deliveries.
    """
    return Statement(f"""
        WITH locked AS (SELECT id FROM files WHERE {files})
        DELETE FROM files USING locked WHERE files.id = locked.id RETURNING files.id, key
    """)


REMOVE_OF_MESSAGE = _removing("id IN (SELECT file_id FROM message_files WHERE message_id = $1) ORDER BY id FOR UPDATE")
REMOVE_OF_OWNER = _removing("owner_id = $1 ORDER BY id FOR UPDATE")
REMOVE_UNSENT = _removing(f"""
    sent_at IS NULL AND created_at <= app_now() - $1::interval
    ORDER BY created_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED
""")
SET_STATUS = Statement("UPDATE files SET status = $2 WHERE id = $1 AND status = 'CHECKING' RETURNING id")
# Of each owner the files in $1 come first. They are left out, but an owner has had a turn for each of them.
CHECKING = Statement(f"""
    SELECT {COLUMNS} FROM (
        SELECT {COLUMNS}, tried_id, row_number() OVER (PARTITION BY owner_id ORDER BY tried_id, id) AS turn
        FROM files LEFT JOIN unnest($1::uuid[]) AS tried (tried_id) ON tried_id = id WHERE status = 'CHECKING'
    ) AS checking
    WHERE tried_id IS NULL ORDER BY turn, id LIMIT {BATCH}
""")
STILL_CHECKING = Statement(f"SELECT {COLUMNS} FROM files WHERE id = ANY ($1::uuid[]) AND status = 'CHECKING'")
EXISTS = Statement("SELECT id FROM files WHERE id = $1")
# The outbox names a removed file until it is deleted from the storage.
KNOWN = Statement(f"""
    SELECT key FROM files WHERE key = ANY ($1::text[])
    UNION ALL SELECT waiting.key FROM outbox, jsonb_array_elements_text(payload -> 'keys') AS waiting (key)
    WHERE topic = '{FILES}' AND waiting.key = ANY ($1::text[])
""")


def _page(files: str = "true") -> Statement:
    """Return the statement of the next files after the id $1."""
    return Statement(f"SELECT {COLUMNS} FROM files WHERE id > $1 AND {files} ORDER BY id LIMIT {BATCH}")


PAGE_OF_ALL = _page()
PAGE_OF_OWNER = _page("owner_id = $2")


def labels_of_message(message_id: str) -> str:
    """Return the SQL of the labels of a message's files, for `to_labels`; `message_id` is SQL too."""
    return _labels(f"message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = {message_id}")


def labels_of_delivery(order_id: str, version: str) -> str:
    """Return the SQL of the labels of the files of an order's delivery, for `to_labels`; the arguments are SQL too."""
    return _labels(
        "delivery_files AS sent JOIN files ON files.id = sent.file_id"
        f" WHERE sent.order_id = {order_id} AND sent.version = {version}"
    )


def _labels(rows: str) -> str:
    return f"""(
        SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position)
        FROM {rows}
    )"""


def to_labels(rows: Sequence[Sequence[Any]] | None) -> tuple[FileLabel, ...]:
    """Return the labels that the SQL of `labels_of_message` or `labels_of_delivery` has read."""
    return tuple(FileLabel(UUID(file_id), name, size, media_type) for file_id, name, size, media_type in rows or ())


class Files:
    """The files of users."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    def check_room(self, owner_id: UUID, adding: int) -> None:
        """Raise Conflict (LIMIT_REACHED) when a user has too much unsent for one more file of so many bytes."""
        [unsent] = self._database.fetch_all(UNSENT, owner_id)
        check_room(unsent["files"], unsent["bytes"], adding)

    def add(self, label: FileLabel, owner_id: UUID, key: str) -> File:
        """Store a new file, in a transaction that locks nothing else.

        Raises Conflict (LIMIT_REACHED), and Unauthenticated when the owner is erased.
        """
        self._database.fetch_all(LOCK_OWNER, owner_id)
        self.check_room(owner_id, label.size)
        row = self._database.fetch_one(ADD, label.id, owner_id, key, label.name, label.size, label.type, label.status)
        if row is None:
            raise Unauthenticated
        return _to_file(row)

    def get(self, file_id: UUID, reader: Caller) -> File:
        """Return a file that this user may read: its owner, those whom it was sent to, an admin. Raises NotFound."""
        row = self._database.fetch_one(READABLE, file_id, reader.id, reader.is_admin)
        if row is None:
            raise NotFound("File")
        return _to_file(row)

    def check_own(self, owner_id: UUID, file_ids: Sequence[UUID]) -> None:
        """Raise NotFound unless all of these files are the user's."""
        if file_ids and len(self._database.fetch_all(OWN, list(file_ids), owner_id)) < len(set(file_ids)):
            raise NotFound("File")

    def send_in_message(self, owner_id: UUID, file_ids: Sequence[UUID], message_id: UUID) -> tuple[FileLabel, ...]:
        """Store the files of a new message of their owner, in its transaction. Return their labels in this order.

        Raises NotFound for the files of others, and Conflict (FILE_NOT_READY).
        """
        labels = self._lock_own(owner_id, file_ids)
        if labels:
            self._database.write(SEND_IN_MESSAGE, list(file_ids), message_id)
        return labels

    def send_in_delivery(
        self, owner_id: UUID, file_ids: Sequence[UUID], order_id: UUID, version: int
    ) -> tuple[FileLabel, ...]:
        """Store the files of a delivery, the row of this version in the order's history. See `send_in_message`."""
        labels = self._lock_own(owner_id, file_ids)
        if labels:
            self._database.write(SEND_IN_DELIVERY, list(file_ids), order_id, version)
        return labels

    def remove_of_message(self, message_id: UUID) -> None:
        """Remove the files of a message, from all messages and deliveries, in the transaction that removes its text."""
        self._remove(REMOVE_OF_MESSAGE, message_id)

    def remove_of_owner(self, owner_id: UUID) -> int:
        """Remove all files of a user, from all messages and deliveries. Return their number.

        It waits for an upload that is just being stored.
        """
        self._database.fetch_all(LOCK_OWNER, owner_id)
        return self._remove(REMOVE_OF_OWNER, owner_id)

    def remove_unsent(self, age: timedelta) -> int:
        """Remove some hundreds of files of at least this age that nobody has sent. Return their number."""
        return self._remove(REMOVE_UNSENT, age)

    def checking(self, tried: Collection[UUID] = ()) -> list[File]:
        """Return some hundreds of the files that are CHECKING, without those that were tried. Owners take turns.

        The first file of each owner comes before the second one of any other. A tried file counts as a turn.
        """
        return list(map(_to_file, self._database.fetch_all(CHECKING, list(tried))))

    def still_checking(self, file_ids: Collection[UUID]) -> list[File]:
        """Return those of these files that are CHECKING."""
        return list(map(_to_file, self._database.fetch_all(STILL_CHECKING, list(file_ids)))) if file_ids else []

    def set_status(self, file_id: UUID, status: FileStatus) -> bool:
        """Store what the scanner has said. Return whether the file was still CHECKING."""
        return bool(self._database.fetch_all(SET_STATUS, file_id, status))

    def orphans(self, keys: Iterable[str]) -> Iterator[str]:
        """Yield the keys that neither a file has nor the outbox, some hundreds a statement."""
        rest = iter(keys)
        while batch := list(islice(rest, BATCH)):
            known = {row["key"] for row in self._database.fetch_all(KNOWN, batch)}
            yield from (key for key in batch if key not in known)

    def all(self) -> Iterator[File]:
        """Yield every file."""
        return self._pages(PAGE_OF_ALL)

    def of_owner(self, owner_id: UUID) -> Iterator[File]:
        """Yield the files of a user."""
        return self._pages(PAGE_OF_OWNER, owner_id)

    def exists(self, file_id: UUID) -> bool:
        """Return whether there is a file with this id."""
        return self._database.fetch_one(EXISTS, file_id) is not None

    def _lock_own(self, owner_id: UUID, file_ids: Sequence[UUID]) -> tuple[FileLabel, ...]:
        """Lock files by their ids, and mark them as sent. Raises NotFound, Conflict."""
        if not file_ids:
            return ()
        labels = {row["id"]: _to_label(row) for row in self._database.fetch_all(LOCK_OWN, list(file_ids), owner_id)}
        if len(labels) < len(set(file_ids)):
            raise NotFound("File")
        if any(label.status is not FileStatus.READY for label in labels.values()):
            raise Conflict(code="FILE_NOT_READY")
        self._database.write(MARK_SENT, list(file_ids))
        return tuple(labels[file_id] for file_id in file_ids)

    def _pages(self, statement: Statement, *params: object) -> Iterator[File]:
        """Yield files, some hundreds a statement."""
        last = UUID(int=0)
        while rows := self._database.fetch_all(statement, last, *params):
            yield from map(_to_file, rows)
            last = rows[-1]["id"]

    def _remove(self, statement: Statement, *params: object) -> int:
        """Remove files. Rows in the outbox tell the relay to delete them from the storage."""
        removed = self._database.fetch_all(statement, *params)
        for row in removed:
            self._outbox.add(FILES, str(row["id"]), 1, {"keys": [row["key"]]})
        return len(removed)


def _to_label(row: Row) -> FileLabel:
    return FileLabel(row["id"], row["name"], row["size"], row["type"], FileStatus(row["status"]))


def _to_file(row: Row) -> File:
    """Return the file of a row of COLUMNS."""
    return File(_to_label(row), row["owner_id"], row["key"], row["created_at"], row["sent_at"])
