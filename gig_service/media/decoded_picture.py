"""The output of a decoder. Standard library only, because every decoder process imports this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

JPEG, PNG, WEBP, GIF = "image/jpeg", "image/png", "image/webp", "image/gif"
EXTENSIONS = {JPEG: "jpg", PNG: "png", WEBP: "webp", GIF: "gif"}
THUMBNAIL_MEDIA_TYPE = WEBP
THUMBNAIL_EXTENSION = EXTENSIONS[THUMBNAIL_MEDIA_TYPE]


@dataclass(frozen=True)
class DecodedPicture:
    """A picture that was decoded and encoded anew: its two files on disk, its type, and its size in pixels."""

    path: Path
    thumbnail: Path
    media_type: str
    width: int
    height: int

    @property
    def extension(self) -> str:
        """The extension of the picture's file where it is served."""
        return EXTENSIONS[self.media_type]
