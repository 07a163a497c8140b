"""The periodic task that removes the files that nobody has sent within a day."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import Counter

from order_service.store.store import Store
from servicekit.database import Database
from servicekit.periodic import PeriodicTask

MAX_AGE = timedelta(days=1)
EVERY_SECONDS = 60.0

REMOVED = Counter("marketplace_unsent_files_removed_total", "Files that this process removed because nobody sent them.")


def remove_unsent(store: Store) -> int:
    """Remove the files, some hundreds a transaction, and return their number. Several processes do no harm."""
    total = 0
    while True:
        with store.transaction("unsent files"):
            removed = store.files.remove_unsent(MAX_AGE)
        REMOVED.inc(removed)
        total += removed
        if not removed:
            return total


def unsent_files_task(store: Store, database: Database) -> PeriodicTask:
    """Return the task."""
    return PeriodicTask("unsent files", lambda: remove_unsent(store), EVERY_SECONDS, database)
