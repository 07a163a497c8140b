"""Locks on keys of the outbox, held by the session of a relay's connection while their rows are delivered."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from servicekit.database import Database, Statement

TRY_LOCK = Statement("""
    SELECT name FROM (
        SELECT name, pg_try_advisory_lock(hashtextextended(name, 0)) AS locked FROM unnest($1::text[]) AS name
    ) AS tried WHERE locked
""")
UNLOCK = Statement("SELECT pg_advisory_unlock(hashtextextended(name, 0)) FROM unnest($1::text[]) AS name")


class KeyLocks:
    """Advisory locks of one thread's connection. PostgreSQL releases them at once when the connection or process ends.

    They are no transaction's, so none is open while a lock is held.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # The connection that holds each lock. Any: a psycopg2 connection that comes through peewee.
        self._holders: dict[str, Any] = {}

    def try_lock(self, names: Collection[str]) -> set[str]:
        """Lock the names that are free, without waiting, and return these. The caller holds none of them yet."""
        if not names:
            return set()
        locked = {row["name"] for row in self._database.fetch_all(TRY_LOCK, list(names))}
        connection = self._database.peewee.connection()
        self._holders.update(dict.fromkeys(locked, connection))
        return locked

    def unlock(self, names: Collection[str]) -> None:
        """Release locks. One whose connection was lost is released already."""
        connection = self._connection()
        held = [name for name in names if self._holders.pop(name, None) is connection is not None]
        if held:
            self._database.fetch_all(UNLOCK, held)

    def restore(self, names: Collection[str]) -> None:
        """Lock the names again that a lost connection held, unless another worker has locked them since."""
        connection = self._connection()
        self._holders = {name: holder for name, holder in self._holders.items() if holder is connection is not None}
        self.try_lock([name for name in names if name not in self._holders])

    def _connection(self) -> Any:
        peewee = self._database.peewee
        return None if peewee.is_closed() else peewee.connection()
