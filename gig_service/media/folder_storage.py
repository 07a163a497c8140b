"""Images' files in a folder, which the edge serves."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from gig_service.media.storage import KEY
from servicekit.errors import Unavailable

_UNFINISHED = ".unfinished"


class FolderStorage:
    """A folder on a disk that all processes of GigService and the edge share."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, source: Path, media_type: str) -> None:
        """Store a copy of a file, readable for everyone. The edge tells its type by its extension."""
        target = self._path(key)
        unfinished = target.with_name(target.name + _UNFINISHED)
        with _errors_as_unavailable():
            self._make_folder(target.parent)
            try:
                with source.open("rb") as original, unfinished.open("xb") as copy:
                    shutil.copyfileobj(original, copy)
                    copy.flush()
                    os.fchmod(copy.fileno(), 0o644)
                    os.fsync(copy.fileno())
                unfinished.rename(target)
                _sync(target.parent)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise

    def delete(self, key: str) -> None:
        """Delete a file."""
        with _errors_as_unavailable():
            self._path(key).unlink(missing_ok=True)

    def exists(self, key: str) -> bool:
        """Return whether there is a file with this key."""
        with _errors_as_unavailable():
            return self._path(key).is_file()

    def fetch(self, key: str, target: Path) -> bool:
        """Write a copy of a file to a path; return False when there is no file with this key."""
        with _errors_as_unavailable():
            try:
                # The folder is GigService's, and the reader may be root: links and pipes are not files of images.
                descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:
                return False
            with os.fdopen(descriptor, "rb") as original:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise OSError(errno.EINVAL, "not a file", key)
                with target.open("wb") as copy:
                    shutil.copyfileobj(original, copy)
            return True

    def keys(self, older_than: timedelta) -> Iterator[str]:
        """Yield the keys of the files of at least this age."""
        last = time.time() - older_than.total_seconds()
        with _errors_as_unavailable():
            for path in self._root.glob("??/*"):
                key = path.relative_to(self._root).as_posix()
                try:
                    if _is_key(key) and path.stat().st_mtime <= last:
                        yield key
                except FileNotFoundError:
                    continue

    def _path(self, key: str) -> Path:
        if not _is_key(key):
            raise ValueError(f"{key!r} is no key of a picture")
        return self._root / key

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o755, exist_ok=True)
            folder.chmod(0o755)
            _sync(self._root)


def _is_key(key: str) -> bool:
    return KEY.fullmatch(key.removesuffix(_UNFINISHED)) is not None


def _sync(folder: Path) -> None:
    """Flush the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _errors_as_unavailable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable from error
