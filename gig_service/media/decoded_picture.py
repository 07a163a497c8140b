"""The output of a decoder. Standard library only, because every decoder process imports this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

THUMBNAIL_EXTENSION = "webp"
THUMBNAIL_MEDIA_TYPE = "image/webp"


@dataclass(frozen=True)
class DecodedPicture:
    """A picture that was decoded and encoded anew: its two files on disk, its type, and its size in pixels."""

    path: Path
    thumbnail: Path
    extension: str
    media_type: str
    width: int
    height: int
