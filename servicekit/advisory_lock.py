"""PostgreSQL's advisory locks: a name that one process at a time can lock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from servicekit.database import Database, DatabaseAway, Statement

# Locks of the session, not of a transaction: the block may commit several transactions, with a call to another service
# between them.
TRY_LOCK = Statement("SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked")
UNLOCK = Statement("SELECT pg_advisory_unlock(hashtextextended($1, 0))")


@contextmanager
def advisory_lock(database: Database, name: str) -> Iterator[bool]:
    """Lock the name until the end of the block, without waiting. Yields whether this process got the lock.

    The block runs in both cases: the caller must test the yielded value before it does the protected work.

    The lock saves work; it does not guarantee that only one process acts. PostgreSQL releases it when the connection
    is lost, and the block does not notice. Where acting twice would do harm, the data must prevent it as well.
    """
    row = database.fetch_one(TRY_LOCK, name)
    locked = row is not None and bool(row["locked"])
    try:
        yield locked
    finally:
        if locked:
            with contextlib.suppress(DatabaseAway):
                database.fetch_all(UNLOCK, name)
