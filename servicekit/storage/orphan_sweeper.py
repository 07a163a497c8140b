"""The periodic task that deletes orphans: stored files without a row, left by an upload that died before its rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

import structlog
from prometheus_client import Counter

from servicekit.database import Database, DatabaseAway
from servicekit.errors import Unavailable
from servicekit.periodic import PeriodicTask
from servicekit.storage.storage import Storage

# Much longer than an upload takes from its first file to its rows: a younger file may still get a row. With five
# minutes between two sweeps, an orphan is deleted within the hour.
OLDER_THAN = timedelta(minutes=50)
EVERY_SECONDS = 300.0

SWEPT = Counter("marketplace_media_swept_total", "Files without a row that this process deleted")


# Yields those of the keys that no row has.
Orphans = Callable[[Iterable[str]], Iterator[str]]


class OrphanSweeper:
    """Sweeps at its start and then every `every_seconds`. Several sweepers, in any processes, do no harm."""

    def __init__(
        self,
        storage: Storage,
        orphans: Orphans,
        database: Database,
        every_seconds: float = EVERY_SECONDS,
        older_than: timedelta = OLDER_THAN,
    ) -> None:
        self._storage = storage
        self._orphans = orphans
        self._database = database
        self._older_than = older_than
        self._stopping = threading.Event()
        self._log = structlog.get_logger()
        self._task = PeriodicTask("orphan sweeper", self._run, every_seconds, database)

    def start(self) -> None:
        """Begin with a sweep."""
        self._task.start()

    def stop(self) -> None:
        """Stop within a second; the next process sweeps the rest."""
        self._stopping.set()
        self._task.stop()

    def sweep(self) -> int:
        """Delete the orphans of at least the age `older_than` and return their number.

        A file that cannot be deleted stays for the next sweep. Raises Unavailable when files or rows cannot be listed.
        """
        deleted = 0
        for key in self._orphans(self._storage.keys(self._older_than)):
            if self._stopping.is_set():
                break
            try:
                self._storage.delete(key)
            except Unavailable as error:
                self._log.warning("file without a row stays", key=key, reason=repr(error.__cause__))
                continue
            deleted += 1
            SWEPT.inc()
            self._log.info("file without a row deleted", key=key)
        return deleted

    def _run(self) -> None:
        try:
            self.sweep()
        except DatabaseAway:
            raise
        except Unavailable as error:
            self._log.warning("sweeping failed, trying again", reason=repr(error.__cause__))
        finally:
            # The pause until the next sweep is too long to keep a connection.
            self._database.close()
