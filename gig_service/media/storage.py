"""The interface to the storage of images' files, and the files' keys. Rows say which files belong to a gig."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol

# Random, so that a key says nothing about its uploader and cannot be guessed. Its first two digits name the folder.
KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{32}\.(jpg|png|webp)")
# A key is never used for another file, so clients may cache the file for ever.
CACHE_CONTROL = "public, max-age=31536000, immutable"


def new_key(extension: str) -> str:
    """Return a key that was never used before, such as `3f/3f0c….jpg`."""
    name = secrets.token_hex(16)
    return f"{name[:2]}/{name}.{extension}"


class Storage(Protocol):
    """Files by their keys. Every method raises Unavailable when the storage is away or full."""

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

    def keys(self, older_than: timedelta) -> Iterator[str]:
        """Yield the keys of the files of at least this age, and those of a `put` that was interrupted.

        Files whose names are no keys are skipped.
        """
        ...
