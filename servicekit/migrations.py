"""Database migrations, applied when a service starts, by one worker at a time."""

from __future__ import annotations

import time
from pathlib import Path

import peewee
import structlog
from playhouse.migrations import Runner

from servicekit import clock, privileges
from servicekit.database import Database, DatabaseAway, Statement
from servicekit.signal_event import SignalEvent

# The advisory lock's number. It is arbitrary; no other lock of the same database uses it.
LOCK = 7_203_114_860
RETRY_SECONDS = 0.2
LOCK_RETRY_SECONDS = 0.1
_IS_INVALID = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid"
_TRY_LOCK = Statement("SELECT pg_try_advisory_lock($1) AS is_ours")


def migrate(database: Database, directory: Path) -> list[str]:
    """Apply the missing migrations in order, and return their names. Other workers wait until this is done.

    Each migration is one transaction, together with the row that records it. One with `atomic = False`, which an index
    needs that is built CONCURRENTLY, can be repeated when it breaks off.
    """
    database.execute("SET statement_timeout = 0; SET lock_timeout = 0")
    # A statement that waited for the lock would be a transaction for all that time, and an index that is built
    # concurrently waits for every transaction that began before.
    while not _take_lock(database):
        time.sleep(LOCK_RETRY_SECONDS)
    try:
        database.execute(clock.SCHEMA)
        applied: list[str] = Runner(database.peewee, str(privileges.reachable(directory))).up()
        return applied
    finally:
        # Releases the lock and drops the settings above.
        database.close()


def build_index(db: peewee.Database, name: str, definition: str) -> None:
    """Build an index while writes go on, in a migration with `atomic = False`; what a broken run has left is dropped.

    `definition` is what follows ON.
    """
    if db.execute_sql(_IS_INVALID, (name,)).fetchone():
        db.execute_sql(f"DROP INDEX CONCURRENTLY {name}")
    db.execute_sql(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {definition}")


def replace_index(db: peewee.Database, name: str, definition: str) -> None:
    """Build an index anew, as `build_index` does; the old one serves until the new one is there."""
    build_index(db, f"{name}_new", definition)
    db.execute_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    db.execute_sql(f"ALTER INDEX {name}_new RENAME TO {name}")


def _take_lock(database: Database) -> bool:
    row = database.fetch_one(_TRY_LOCK, LOCK)
    return bool(row and row["is_ours"])


def migrate_when_reachable(database: Database, directory: Path, stop: SignalEvent) -> bool:
    """Wait for the database, then migrate it. Return False if `stop` was set before the database answered."""
    log = structlog.get_logger()
    waiting = False
    while not stop.is_set():
        try:
            for name in migrate(database, directory):
                log.info("migration applied", migration=name)
            return True
        except DatabaseAway as error:
            if not waiting:
                log.warning("waiting for the database", reason=str(error.__cause__).strip())
                waiting = True
            stop.wait(RETRY_SECONDS)
    return False
