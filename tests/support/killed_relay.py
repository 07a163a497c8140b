"""`python -m tests.support.killed_relay URL FOLDER N`: a relay that is killed by SIGKILL after N deletions of files."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from gig_service.images.removal import removal
from gig_service.images.storage import FolderStorage
from servicekit.database import Database


class DyingStorage(FolderStorage):
    """A storage that kills its process after so many deletions, before the last one is reported."""

    def __init__(self, root: Path, files: int) -> None:
        super().__init__(root)
        self._left = files

    def delete(self, key: str) -> None:
        if self._left:
            super().delete(key)
            self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, folder: str, files: str) -> None:
    database = Database(url)
    removal(database, DyingStorage(Path(folder), int(files))).deliver_one()


if __name__ == "__main__":
    main(*sys.argv[1:])
