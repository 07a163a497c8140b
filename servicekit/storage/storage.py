"""The interface to a storage, the kinds of files that one keeps, and their keys. Rows say what a file belongs to."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from servicekit.database import DatabaseAway
from servicekit.errors import Unavailable

# A key is never used for another file, so clients may cache a public file for ever.
FOR_EVER = "public, max-age=31536000, immutable"
NEVER = "private, no-store"
UNKNOWN = "application/octet-stream"


@dataclass(frozen=True)
class FileKind:
    """What a storage keeps: the name of such files in texts, the form of their keys, and whether anyone may read them.

    `types` has the media types by the extensions of keys.
    """

    name: str
    key: re.Pattern[str]
    is_public: bool
    types: Mapping[str, str] = field(default_factory=dict)

    @property
    def cache_control(self) -> str:
        """The header `Cache-Control` of a response with such a file."""
        return FOR_EVER if self.is_public else NEVER

    def media_type(self, key: str) -> str:
        """Return the media type of the file with this key."""
        return self.types.get(key.rpartition(".")[2], UNKNOWN)


class Span(NamedTuple):
    """A part of a file: the position of its first byte, and its length in bytes."""

    first: int
    length: int


class Attachment(NamedTuple):
    """How a file is given to its reader: the media type, and the header `Content-Disposition`."""

    media_type: str
    disposition: str


def new_key(extension: str = "") -> str:
    """Return a key that was never used before, such as `3f/3f0c….jpg`.

    It is random, so it says nothing about its uploader and cannot be guessed. Its first two digits name the folder.
    """
    name = secrets.token_hex(16)
    return f"{name[:2]}/{name}" + (f".{extension}" if extension else "")


@contextmanager
def deleted_on_failure(storage: Storage, keys: Sequence[str]) -> Iterator[None]:
    """Delete the files with these keys when the block fails, unless it raises DatabaseAway: their rows may be there.

    The orphan sweeper deletes those that stay without a row.
    """
    try:
        yield
    except DatabaseAway:
        raise
    except BaseException:
        with suppress(Unavailable):
            for key in keys:
                storage.delete(key)
        raise


class Storage(Protocol):
    """Files of one kind by their keys. Every method raises Unavailable when the storage is away or full."""

    @property
    def kind(self) -> FileKind:
        """The kind of the files."""
        ...

    def put(self, key: str, source: Path, media_type: str) -> None:
        """Store a copy of a file. It appears as a whole, and survives a power cut once this returns."""
        ...

    def delete(self, key: str) -> None:
        """Delete a file. A missing file is no error."""
        ...

    def exists(self, key: str) -> bool:
        """Return whether there is a file with this key."""
        ...

    def fetch(self, key: str, target: Path) -> bool:
        """Write a copy of a file to a path; return False when there is no file with this key."""
        ...

    def read(self, key: str, span: Span) -> AbstractContextManager[Iterator[bytes]]:
        """Yield an iterator of the pieces of a part of a file. Raises FileNotFoundError when there is no such file."""
        ...

    def url(self, key: str, method: str, attachment: Attachment, lifetime: timedelta) -> str:
        """Return a URL at which the file can be read with GET or HEAD for so long; empty when the storage has none."""
        ...

    def keys(self, older_than: timedelta) -> Iterator[str]:
        """Yield the keys of the files of at least this age, and those of a `put` that was interrupted.

        Files whose names are no keys are skipped.
        """
        ...
