"""`python -m tests.support.dying_relay URL FOLDER N`: a relay that SIGKILL ends after it has deleted N files."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from gig_service.media.pictures import PICTURES
from gig_service.store.images import MEDIA
from servicekit.database import Database
from servicekit.storage.deletion import file_deletion
from servicekit.storage.folder import FolderStorage


class DyingStorage(FolderStorage):
    """Kills its process once `files` files are deleted, before the relay knows of the last one."""

    def __init__(self, root: Path, files: int) -> None:
        super().__init__(root, PICTURES)
        self._left = files

    def delete(self, key: str) -> None:
        if self._left:
            super().delete(key)
            self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, folder: str, files: str) -> None:
    database = Database(url)
    file_deletion(database, DyingStorage(Path(folder), int(files)), MEDIA).deliver_one()


if __name__ == "__main__":
    main(*sys.argv[1:])
