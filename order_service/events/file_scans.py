"""The periodic task that has files scanned."""

from __future__ import annotations

import threading
import time
from collections import Counter as Multiset
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import structlog
from prometheus_client import Counter

from order_service.commands.scan_file import ScanFile
from order_service.domain.file import File
from order_service.files.scanner import ScanFailed, ScannerAway
from order_service.store.store import Store
from servicekit.database import Database, DatabaseAway
from servicekit.errors import Unavailable
from servicekit.periodic import PeriodicTask

EVERY_SECONDS = 1.0
# A run that has taken so long begins no further scan: the next run looks for new files first.
RUN_SECONDS = 5.0
# The pause before a scanner that is away is asked again, and before another look at a file that another process scans.
AWAY_SECONDS = 5.0
# The pause after the first failed scan of a file. Each further one doubles it, up to an hour.
FAILED_SECONDS = 60.0
MAX_PAUSE_SECONDS = 3600.0

SCANS = Counter("marketplace_file_scans_total", "Scans of files by outcome.", ("outcome",))


@dataclass(frozen=True, slots=True)
class _Tried:
    """A file that was tried and may still be CHECKING. It is tried again at `due`, by the monotonic clock.

    `tries` also counts those for which the scanner was away, since the file itself may end the scanner. With 0 tries
    another process has scanned it, or its bytes are missing; it is like a new one then.
    """

    owner_id: UUID
    tries: int
    failures: int
    due: float


class FileScans:
    """Asks the scanner about the files that are CHECKING, about one at a time.

    Files that were never tried come first, and their owners take turns. A file whose scan has failed is tried again
    later and later. Which files were tried is known to this process alone; another one tries them for itself.
    """

    def __init__(self, store: Store, scan_file: ScanFile, database: Database) -> None:
        self._store = store
        self._scan_file = scan_file
        self._stopping = threading.Event()
        self._tried: dict[UUID, _Tried] = {}
        self._log = structlog.get_logger()
        self._task = PeriodicTask("file scans", self.run, EVERY_SECONDS, database)

    def start(self) -> None:
        """Begin with the files that earlier processes left."""
        self._task.start()

    def stop(self) -> None:
        """Stop within a second; another process goes on."""
        self._stopping.set()
        self._task.stop()

    def run(self) -> None:
        """Scan files until none is left to be tried now, or for RUN_SECONDS."""
        end = time.monotonic() + RUN_SECONDS
        for file in self._next():
            if self._stopping.is_set():
                return
            try:
                self._scan(file)
            except ScannerAway as error:
                self._remember(file, AWAY_SECONDS, tries=1)
                SCANS.labels("AWAY").inc()
                self._log.warning("the scanner of files is away, trying again", reason=str(error))
                self._stopping.wait(AWAY_SECONDS)
                return
            if time.monotonic() >= end:
                return

    def _next(self) -> Iterator[File]:
        """Yield files that were never tried, some hundreds; if there are none, those that are to be tried again now."""
        now = time.monotonic()
        self._tried = {file_id: tried for file_id, tried in self._tried.items() if tried.tries or tried.due > now}
        new = self._store.files.checking(self._tried)
        yield from new or self._due()

    def _due(self) -> list[File]:
        """Return the files that are to be tried again now; first those of owners whose files were tried the least."""
        now = time.monotonic()
        due = [file_id for file_id, tried in self._tried.items() if tried.due <= now]
        files = {file.label.id: file for file in self._store.files.still_checking(due)}
        for file_id in set(due) - files.keys():
            del self._tried[file_id]
        of_owner: Multiset[UUID] = Multiset()
        for tried in self._tried.values():
            of_owner[tried.owner_id] += tried.tries

        def place(file: File) -> tuple[int, float]:
            return of_owner[file.owner_id], self._tried[file.label.id].due

        return sorted(files.values(), key=place)

    def _scan(self, file: File) -> None:
        """Scan a file, and remember it when it was tried for nothing. Raises ScannerAway."""
        file_id = file.label.id
        try:
            status = self._scan_file.execute(file)
        except (DatabaseAway, ScannerAway):
            raise
        except (ScanFailed, Unavailable) as error:
            SCANS.labels("FAILED").inc()
            failures = self._tried[file_id].failures if file_id in self._tried else 0
            self._remember(file, min(FAILED_SECONDS * 2**failures, MAX_PAUSE_SECONDS), tries=1, failures=1)
            reason = str(error) if isinstance(error, ScanFailed) else repr(error.__cause__)
            self._log.warning("a file was not scanned, trying again", file_id=str(file_id), reason=reason)
            return
        if status is None:
            self._remember(file, AWAY_SECONDS)
            return
        SCANS.labels(status).inc()
        self._tried.pop(file_id, None)

    def _remember(self, file: File, pause: float, *, tries: int = 0, failures: int = 0) -> None:
        """Try a file again after a pause in seconds; count so many more tries and failures of it."""
        before = self._tried.get(file.label.id, _Tried(file.owner_id, 0, 0, 0.0))
        self._tried[file.label.id] = _Tried(
            file.owner_id, before.tries + tries, before.failures + failures, time.monotonic() + pause
        )
