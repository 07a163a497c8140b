"""PostgreSQL's advisory locks: a name that one process at a time can lock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from servicekit.batches import Sent
from servicekit.database import Database, DatabaseAway, Statement

# Locks of the session, not of a transaction: the block may commit several transactions, with a call to another service
# between them.
TRY_LOCK = Statement("SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked, app_now() AS now")
UNLOCK = Statement("SELECT pg_advisory_unlock(hashtextextended($1, 0))")


@contextmanager
def advisory_lock(database: Database, name: str) -> Iterator[bool]:
    """Lock the name until the end of the block, without waiting. Yields whether this process got the lock.

    The block runs in both cases: the caller must test the yielded value before it does the protected work.

    The lock saves work; it does not guarantee that only one process acts. PostgreSQL releases it when the connection
    is lost, and the block does not notice. Where acting twice would do harm, the data must prevent it as well.
    """
    with advisory_lock_at(database, name) as locked_at:
        yield locked_at is not None


@contextmanager
def advisory_lock_at(database: Database, name: str) -> Iterator[datetime | None]:
    """Do as `advisory_lock`. Yields the database's time (aware), or None when another process has the lock."""
    row = database.fetch_one(TRY_LOCK, name)
    assert row is not None
    locks: set[str] = database.peewee.connection().locks
    if row["locked"]:
        locks.add(name)
    try:
        yield row["now"] if row["locked"] else None
    finally:
        if row["locked"] and name in locks:
            locks.discard(name)
            with contextlib.suppress(DatabaseAway):
                database.fetch_all(UNLOCK, name)


def unlock_with_commit(database: Database, name: str) -> None:
    """Release a lock, if this thread has it, with the commit of the current transaction, so that it needs no message.

    When the transaction is rolled back, the lock stays until the end of its block.
    """
    database.peewee.unlock_with_commit(name, Sent.of(UNLOCK, (name,)))
