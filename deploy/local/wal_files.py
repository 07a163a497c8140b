"""The form that files of PostgreSQL's log have in an archive. It imports little: see wal_archive.py."""

import gzip
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

# A file of the log, the part of one at the end of a timeline, the history of a timeline, or the place of a backup.
NAME = re.compile(r"[0-9A-F]{24}(\.partial|\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history")
# The least effort: 16 MiB of table files take 0.08 s of CPU (measured), and the unused end of a file next to nothing.
_EFFORT = 1
_CHUNK = 1 << 20


class Archive(Protocol):
    """Files of the log of one cluster by their names. Every method may raise OSError."""

    def store(self, name: str, source: Path) -> bool:
        """Store a file, which then survives a power cut; return False when another file has its name."""
        ...

    def fetch(self, name: str, target: Path) -> bool:
        """Write a copy of a file to a path; return False when there is none."""
        ...

    def names(self) -> Iterator[str]:
        """Yield the names of all files."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file."""
        ...


def compress(original: BinaryIO, target: BinaryIO) -> None:
    """Write a file compressed. The same file gives the same bytes."""
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_EFFORT, fileobj=target, mtime=0) as packed:
        shutil.copyfileobj(original, packed, _CHUNK)


def decompress(stored: BinaryIO, target: Path) -> None:
    """Write a compressed file to a path. Raises OSError when it is damaged."""
    try:
        with gzip.GzipFile(fileobj=stored) as unpacked, target.open("wb") as file:
            shutil.copyfileobj(unpacked, file, _CHUNK)
    except EOFError as error:
        raise OSError("a file of the archive is cut off") from error


def is_same(stored: BinaryIO, path: Path) -> bool:
    """Return whether a compressed file is a copy of a file. Raises OSError when it is damaged."""
    try:
        with gzip.GzipFile(fileobj=stored) as unpacked, path.open("rb") as file:
            while True:
                one, other = unpacked.read(_CHUNK), file.read(_CHUNK)
                if one != other:
                    return False
                if not one:
                    return True
    except EOFError as error:
        raise OSError("a file of the archive is cut off") from error
