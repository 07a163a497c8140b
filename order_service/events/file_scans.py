"""The periodic task that has files scanned."""

from __future__ import annotations

import threading
import time
from uuid import UUID

import structlog
from prometheus_client import Counter

from order_service.commands.scan_file import ScanFile
from order_service.files.scanner import ScanFailed, ScannerAway
from order_service.store.store import Store
from servicekit.database import Database, DatabaseAway
from servicekit.errors import Unavailable
from servicekit.periodic import PeriodicTask

EVERY_SECONDS = 1.0
# The pause before a scanner that is away is asked again, and before a file of which it has said nothing is.
AWAY_SECONDS = 5.0
FAILED_SECONDS = 60.0

SCANS = Counter("marketplace_file_scans_total", "Scans of files by outcome.", ("outcome",))


class FileScans:
    """Asks the scanner about the files that are CHECKING. One that it has said nothing about is asked about again."""

    def __init__(self, store: Store, scan_file: ScanFile, database: Database) -> None:
        self._store = store
        self._scan_file = scan_file
        self._stopping = threading.Event()
        self._next_scan: dict[UUID, float] = {}
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
        """Scan all files that are CHECKING once."""
        waiting = self._next_scan
        self._next_scan = {}
        for file in self._store.files.checking():
            if self._stopping.is_set():
                return
            file_id = file.label.id
            if waiting.get(file_id, 0.0) > time.monotonic():
                self._next_scan[file_id] = waiting[file_id]
                continue
            try:
                status = self._scan_file.execute(file)
            except ScannerAway as error:
                SCANS.labels("AWAY").inc()
                self._log.warning("the scanner of files is away, trying again", reason=str(error))
                self._stopping.wait(AWAY_SECONDS)
                return
            except DatabaseAway:
                raise
            except (ScanFailed, Unavailable) as error:
                SCANS.labels("FAILED").inc()
                self._next_scan[file_id] = time.monotonic() + FAILED_SECONDS
                reason = str(error) if isinstance(error, ScanFailed) else repr(error.__cause__)
                self._log.warning("a file was not scanned, trying again", file_id=str(file_id), reason=reason)
                continue
            if status is not None:
                SCANS.labels(status).inc()
