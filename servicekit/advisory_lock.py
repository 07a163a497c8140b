"""PostgreSQL's advisory locks: a name that one process at a time can lock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from servicekit.batches import Sent
from servicekit.database import Database, DatabaseAway, Statement

# Locks of the session, not of a transaction: the block may commit several transactions, with a call to another service
# between them.
# Parts of statements, with the name between the brackets. Without a name, NULL, nothing is released.
TRY = "pg_try_advisory_lock(hashtextextended({}, 0))"
RELEASE = "pg_advisory_unlock(hashtextextended({}, 0))"
TRY_LOCK = Statement(f"SELECT {TRY.format('$1')} AS locked")
UNLOCK = Statement(f"SELECT {RELEASE.format('$1')}")


@contextmanager
def advisory_lock(database: Database, name: str) -> Iterator[bool]:
    """Lock the name until the end of the block, without waiting. Yields whether this process got the lock.

    The block runs in both cases: the caller must test the yielded value before it does the protected work.

    The lock saves work; it does not guarantee that only one process acts. PostgreSQL releases it when the connection
    is lost, and the block does not notice. Where acting twice would do harm, the data must prevent it as well.
    """
    row = database.fetch_one(TRY_LOCK, name)
    assert row is not None
    if not row["locked"]:
        yield False
        return
    with held_lock(database, name):
        yield True


@contextmanager
def held_lock(database: Database, name: str) -> Iterator[None]:
    """Release a lock at the end of the block, unless that was done. This thread's last statement has taken it."""
    locks: set[str] = database.peewee.connection().locks
    locks.add(name)
    try:
        yield
    finally:
        if name in locks:
            locks.discard(name)
            with contextlib.suppress(DatabaseAway):
                database.fetch_all(UNLOCK, name)


def name_if_held(database: Database, name: str) -> str | None:
    """Return the name for RELEASE: None when this thread's connection does not have the lock."""
    return name if name in database.peewee.connection().locks else None


def note_release(database: Database, name: str) -> None:
    """Take note that a statement has released the lock."""
    database.peewee.connection().locks.discard(name)


def unlock_with_commit(database: Database, name: str) -> None:
    """Release a lock, if this thread has it, with the commit of the current transaction, so that it needs no message.

    When the transaction is rolled back, the lock stays until the end of its block.
    """
    database.peewee.unlock_with_commit(name, Sent.of(UNLOCK, (name,)))
