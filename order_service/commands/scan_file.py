"""Ask the scanner about a file, and store what it says."""

from __future__ import annotations

from order_service.domain.file import File, FileStatus
from order_service.files.scanner import Scanner
from order_service.store.store import Store
from servicekit.crash import crash_point
from servicekit.storage.storage import Span, Storage


class ScanFile:
    """Scans files that are CHECKING. Two processes that scan the same file do no harm; a lock saves the second scan."""

    def __init__(self, store: Store, storage: Storage, scanner: Scanner) -> None:
        self._store = store
        self._storage = storage
        self._scanner = scanner

    def execute(self, file: File) -> FileStatus | None:
        """Return the new status; None when another process scans the file, or it was removed.

        Raises ScannerAway, ScanFailed, Unavailable; then the file is still CHECKING.
        """
        with self._store.scan_lock(file.label.id) as is_held:
            if not is_held:
                return None
            try:
                with self._storage.read(file.key, Span(0, file.label.size)) as pieces:
                    is_harmful = self._scanner.is_harmful(pieces)
            except FileNotFoundError:
                return None
            crash_point("scanned")
            status = FileStatus.REFUSED if is_harmful else FileStatus.READY
            return status if self._store.files.set_status(file.label.id, status) else None
