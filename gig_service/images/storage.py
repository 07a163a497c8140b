"""Where pictures lie: a folder that the edge serves, or S3 (`s3.py`). Rows say which of them belong to a gig."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from gig_service.settings import MediaSettings
from servicekit.errors import Unavailable

# Names tell nothing of who uploaded what, and are not to be guessed. Two letters of it spread them over folders.
KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{32}\.(jpg|png|webp)")
# What a name never stands for anything else under, so that clients may keep it for good.
CACHE_CONTROL = "public, max-age=31536000, immutable"

_UNFINISHED = ".unfinished"


def new_key(extension: str) -> str:
    """A name that was never given before, such as `3f/3f0c….jpg`."""
    name = secrets.token_hex(16)
    return f"{name[:2]}/{name}.{extension}"


class Storage(Protocol):
    """Files by their keys. Every method raises Unavailable when the place is away or full."""

    def put(self, key: str, source: Path, media_type: str) -> None:
        """Stores a copy of a file; when this returns it outlasts a power cut, and until then there is none."""
        ...

    def delete(self, key: str) -> None:
        """Removes a file. One that is not there is no error."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        ...

    def keys(self, older_than: timedelta) -> Iterator[str]:
        """The keys of the files that have lain here for so long, leftovers of a `put` that was cut off among them.

        Files that do not look like ours are passed over.
        """
        ...


def storage_from(settings: MediaSettings) -> Storage:
    """The storage that the settings name."""
    if settings.media_storage == "folder":
        assert settings.media_dir is not None
        return FolderStorage(settings.media_dir)
    # Only who needs it pays for it: boto3 takes a process 30 MiB.
    from gig_service.images.s3 import S3Storage

    return S3Storage.of(settings)


class FolderStorage:
    """A folder on a disk that all processes of GigService and the edge share."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, source: Path, media_type: str) -> None:
        """Stores a copy of a file, readable for everyone. Its type is told by its name."""
        target = self._path(key)
        unfinished = target.with_name(target.name + _UNFINISHED)
        with _translating():
            self._make_folder(target.parent)
            try:
                with source.open("rb") as read, unfinished.open("xb") as written:
                    shutil.copyfileobj(read, written)
                    written.flush()
                    os.fchmod(written.fileno(), 0o644)
                    os.fsync(written.fileno())
                unfinished.rename(target)
                _sync(target.parent)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise

    def delete(self, key: str) -> None:
        """Removes a file."""
        with _translating():
            self._path(key).unlink(missing_ok=True)

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        with _translating():
            return self._path(key).is_file()

    def keys(self, older_than: timedelta) -> Iterator[str]:
        """The keys of the files that have lain here for so long."""
        last = time.time() - older_than.total_seconds()
        with _translating():
            for path in self._root.glob("??/*"):
                key = path.relative_to(self._root).as_posix()
                try:
                    if _is_ours(key) and path.stat().st_mtime <= last:
                        yield key
                except FileNotFoundError:
                    continue

    def _path(self, key: str) -> Path:
        if not _is_ours(key):
            raise ValueError(f"{key!r} is no key of a picture")
        return self._root / key

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o755, exist_ok=True)
            folder.chmod(0o755)
            _sync(self._root)


def _is_ours(key: str) -> bool:
    return KEY.fullmatch(key.removesuffix(_UNFINISHED)) is not None


def _sync(folder: Path) -> None:
    """Brings the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable from error
