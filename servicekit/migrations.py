"""Brings a service's database up to date when the service starts, by one worker at a time."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import structlog
from playhouse.migrations import Runner

from servicekit import clock
from servicekit.database import Database, DatabaseAway

# Any number that nothing else locks; an advisory lock counts within one database.
LOCK = 7_203_114_860
RETRY_SECONDS = 0.2


def migrate(database: Database, directory: Path) -> list[str]:
    """Applies what is missing, in order, and returns its names. Other workers wait meanwhile and find nothing to do.

    Each migration is one transaction, together with the row that says it was applied.
    """
    database.execute("SET statement_timeout = 0; SET lock_timeout = 0")
    database.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    try:
        database.execute(clock.SCHEMA)
        applied: list[str] = Runner(database.peewee, str(directory)).up()
        return applied
    finally:
        # Gives the lock back, and the settings above with it.
        database.close()


def migrate_when_reachable(database: Database, directory: Path, stop: Event) -> bool:
    """Migrates as soon as the database answers; False when `stop` was set before it did."""
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
