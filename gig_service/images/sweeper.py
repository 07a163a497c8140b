"""Deletes files that are no image's: what an upload left behind that died before its rows were written."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice

import structlog
from prometheus_client import Counter

from gig_service.images.storage import Storage
from gig_service.store import Store
from servicekit.errors import Unavailable

# Much longer than an upload may take from its first file to its rows: what is younger may still get a row.
OLDER_THAN = timedelta(hours=1)
EVERY_SECONDS = 300.0
STOP_SECONDS = 1.0
# Files that the database is asked about at once.
BATCH = 500

SWEPT = Counter("marketplace_media_swept_total", "Files without an image that this process deleted")


def without_image(keys: Iterable[str], store: Store) -> Iterator[str]:
    """Those of the keys that are no image's, and do not wait in the outbox for their deletion either."""
    rest = iter(keys)
    while batch := list(islice(rest, BATCH)):
        known = store.images.known(batch)
        yield from (key for key in batch if key not in known)


class Sweeper:
    """Sweeps at its start and every so often, in a thread of its own. Several at once, in any processes, do no harm."""

    def __init__(
        self,
        storage: Storage,
        store: Store,
        every_seconds: float = EVERY_SECONDS,
        older_than: timedelta = OLDER_THAN,
    ) -> None:
        self._storage = storage
        self._store = store
        self._every_seconds = every_seconds
        self._older_than = older_than
        self._stopping = threading.Event()
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begins with what earlier processes left."""
        self._thread.start()

    def stop(self) -> None:
        """Ends within a second; what is left is for the next one."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def sweep(self) -> int:
        """Deletes the files that are no image's and old enough; how many went.

        One that cannot be deleted stays for the next time. Raises Unavailable when files or rows cannot be listed.
        """
        gone = 0
        for key in without_image(self._storage.keys(self._older_than), self._store):
            if self._stopping.is_set():
                break
            try:
                self._storage.delete(key)
            except Unavailable as error:
                self._log.warning("file without an image stays", key=key, reason=repr(error.__cause__))
                continue
            gone += 1
            SWEPT.inc()
            self._log.info("file without an image deleted", key=key)
        return gone

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.sweep()
            except Unavailable as error:
                self._log.warning("sweeping failed, trying again", reason=repr(error.__cause__))
            except Exception:
                self._log.exception("sweeping failed, trying again")
            finally:
                # A connection is not worth keeping for minutes.
                self._store.close()
            self._stopping.wait(self._every_seconds)
