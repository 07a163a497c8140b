"""What a file is, told by its first bytes."""

from __future__ import annotations

from gig_service.media.decoded_picture import GIF, JPEG, PNG, WEBP

# The number of bytes that `picture_type` needs.
BYTES = 12


def picture_type(start: bytes) -> str | None:
    """Return the media type of a file with these first bytes; None when it is no JPEG, PNG, WebP or GIF."""
    if start.startswith(b"\xff\xd8\xff"):
        return JPEG
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if start.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return WEBP
    return None
