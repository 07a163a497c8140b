"""The folder of a process in which uploads lie while they come in."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

# The prefix of an upload's folder in that of its process.
UPLOAD_PREFIX = "upload-"
_PROCESS_PREFIX = "process-"


@contextmanager
def upload_folder(folder: Path | None, run_as: str) -> Iterator[Path]:
    """Yield a folder of this process in `folder`, or a temporary one.

    Under root it belongs to the user `run_as`, which the process becomes. Other processes may use `folder` at the same
    time; what dead ones have left there is removed.
    """
    if folder is None:
        with TemporaryDirectory(prefix="marketplace-uploads-") as temporary:
            yield _give_to(Path(temporary), run_as)
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_dead(folder)
    # Another process that starts at this moment may take the new folder for a dead one's.
    while (lock := _try_lock(own := Path(mkdtemp(dir=folder, prefix=_PROCESS_PREFIX)))) is None:
        pass
    _give_to(folder, run_as)
    try:
        yield _give_to(own, run_as)
    finally:
        shutil.rmtree(own, ignore_errors=True)
        os.close(lock)


def _remove_dead(folder: Path) -> None:
    """Remove the folders of processes that have ended, and what an earlier release has left."""
    for left in (*folder.glob(f"{UPLOAD_PREFIX}*"), *folder.glob(f"{_PROCESS_PREFIX}*")):
        lock = _try_lock(left)
        if lock is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)


def _try_lock(folder: Path) -> int | None:
    """Return a descriptor that locks the folder until it is closed; None when another process has the lock."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _give_to(folder: Path, run_as: str) -> Path:
    """Under root, give the folder to this user. Return the folder."""
    if os.geteuid() == 0:
        os.chown(folder, *(int(part) for part in run_as.split(":")))
    return folder
