"""Files in a folder. The edge serves that of a public kind."""

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
from typing import BinaryIO

from servicekit.errors import Unavailable
from servicekit.storage.storage import Attachment, FileKind, Span

_UNFINISHED = ".unfinished"
PIECE_BYTES = 64 * 1024


class FolderStorage:
    """A folder on a disk that all processes that use the storage share."""

    def __init__(self, root: Path, kind: FileKind) -> None:
        self._root = root
        self.kind = kind
        self._file_mode, self._folder_mode = (0o644, 0o755) if kind.is_public else (0o600, 0o700)

    def put(self, key: str, source: Path, media_type: str) -> None:
        """Store a copy of a file. The edge tells the type of a public one by its extension."""
        target = self._path(key)
        unfinished = target.with_name(target.name + _UNFINISHED)
        with _errors_as_unavailable():
            self._make_folder(target.parent)
            try:
                with source.open("rb") as original, unfinished.open("xb") as copy:
                    shutil.copyfileobj(original, copy)
                    copy.flush()
                    os.fchmod(copy.fileno(), self._file_mode)
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
                original = self._open(key)
            except FileNotFoundError:
                return False
            with original, target.open("wb") as copy:
                shutil.copyfileobj(original, copy)
            return True

    @contextmanager
    def read(self, key: str, span: Span) -> Iterator[Iterator[bytes]]:
        """Yield an iterator of the pieces of a part of a file. Raises FileNotFoundError."""
        try:
            file = self._open(key)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Unavailable from error
        with file:
            yield _pieces(file, span)

    def url(self, _key: str, _method: str, _attachment: Attachment, _lifetime: timedelta) -> str:
        """Return nothing: only the process itself can read the folder."""
        return ""

    def keys(self, older_than: timedelta) -> Iterator[str]:
        """Yield the keys of the files of at least this age."""
        last = time.time() - older_than.total_seconds()
        with _errors_as_unavailable():
            for path in self._root.glob("??/*"):
                key = path.relative_to(self._root).as_posix()
                try:
                    if self._is_key(key) and path.stat().st_mtime <= last:
                        yield key
                except FileNotFoundError:
                    continue

    def _path(self, key: str) -> Path:
        if not self._is_key(key):
            raise ValueError(f"{key!r} is no key of {self.kind.name}")
        return self._root / key

    def _is_key(self, key: str) -> bool:
        return self.kind.key.fullmatch(key.removesuffix(_UNFINISHED)) is not None

    def _open(self, key: str) -> BinaryIO:
        # The folder is a service's, and the reader may be root: links and pipes are not files.
        descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        file = os.fdopen(descriptor, "rb")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            file.close()
            raise OSError(errno.EINVAL, "not a file", key)
        return file

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=self._folder_mode, exist_ok=True)
            folder.chmod(self._folder_mode)
            _sync(self._root)


def _pieces(file: BinaryIO, span: Span) -> Iterator[bytes]:
    """Yield a part of a file in pieces. Raises Unavailable when the file is shorter."""
    with _errors_as_unavailable():
        file.seek(span.first)
        left = span.length
        while left:
            piece = file.read(min(left, PIECE_BYTES))
            if not piece:
                raise OSError(errno.EIO, "the file is shorter than its row says")
            left -= len(piece)
            yield piece


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
