"""One process at a time: a name in the database that is held, and let go of by itself when its holder dies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from servicekit.database import Database, DatabaseAway, Statement

# Of the session, not of a transaction: what is done meanwhile may be several, with a call to somebody else in between.
TRY_LOCK = Statement("SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS held")
UNLOCK = Statement("SELECT pg_advisory_unlock(hashtextextended($1, 0))")


@contextmanager
def advisory_lock(database: Database, name: str) -> Iterator[bool]:
    """Whether nobody else holds the name; if so, it is held until the end of the block.

    It spares others work, and no more: a holder whose connection is lost has lost the name without a word. What must
    not happen twice has to be kept from it by the data.
    """
    found = database.fetch_one(TRY_LOCK, name)
    held = found is not None and bool(found["held"])
    try:
        yield held
    finally:
        if held:
            with contextlib.suppress(DatabaseAway):
                database.fetch_all(UNLOCK, name)
