"""The folder of a process in which uploads lie while they come in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

# The prefix of an upload's folder, by which the next process finds the folders of a dead one.
UPLOAD_PREFIX = "upload-"


@contextmanager
def upload_folder(folder: Path | None, run_as: str) -> Iterator[Path]:
    """Yield the folder, or a temporary one. Under root it belongs to the user `run_as`, which the process becomes."""
    if folder is not None:
        yield _given(_emptied(folder), run_as)
        return
    with TemporaryDirectory(prefix="marketplace-uploads-") as temporary:
        yield _given(Path(temporary), run_as)


def _emptied(folder: Path) -> Path:
    """Return the folder, without the unfinished uploads of an earlier process."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for upload in folder.glob(f"{UPLOAD_PREFIX}*"):
        shutil.rmtree(upload)
    return folder


def _given(folder: Path, run_as: str) -> Path:
    """Return the folder; under root it belongs to this user."""
    if os.geteuid() == 0:
        os.chown(folder, *(int(part) for part in run_as.split(":")))
    return folder
