"""Waiting until another connection waits for a lock."""

from __future__ import annotations

from servicekit.database import Database, Statement
from tests.support.eventually import eventually

# Not pg_stat_activity, which shows the same moment for a whole transaction.
WAITING = Statement("""
    SELECT pid FROM pg_locks WHERE NOT granted AND pid IN (
        SELECT pid FROM pg_locks WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
""")


def wait_for_a_lock_waiter(database: Database) -> None:
    """Return once a connection to this database waits for a lock. The caller may have a transaction open."""
    eventually(lambda: database.fetch_all(WAITING))
