"""Request bodies with pictures: each file's first bytes tell its type.

The names and types that clients give to files are never used, but for a body that is a file: a type that is no
picture's is refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from gig_service.images.picture_type import picture_type
from gig_service.media.decoded_picture import GIF, JPEG, PNG, WEBP
from servicekit.errors import InvalidArgument, MarketplaceError, Violation
from servicekit.uploads.bodies import FIELD, ReceivedFile, UploadLimits, is_form, media_type_of, receive_files

UNKNOWN = "application/octet-stream"
# The types of a body that is a file. Bytes that are no picture are 400 with one of these types, and 415 with others.
EXPECTED = frozenset((JPEG, PNG, WEBP, GIF, UNKNOWN, "image/jpg", "image/pjpeg", "image/x-png", "image/*"))
NO_PICTURE = "is not a JPEG, PNG, WebP or GIF"


@dataclass(frozen=True)
class ReceivedPicture:
    """One picture on disk, with its media type as its first bytes tell it: JPEG, PNG, WebP or GIF; and its size."""

    path: Path
    media_type: str
    size: int


async def receive_pictures(
    content_type: str, body: AsyncIterator[bytes], folder: Path, limits: UploadLimits
) -> list[ReceivedPicture]:
    """Write the pictures of a body of this type into a folder and return them in their order; there is at least one.

    Raises the errors of `receive_files`, and UNSUPPORTED_MEDIA_TYPE. A body that is too large is told so first.
    """
    declared = media_type_of(content_type) or UNKNOWN
    if not is_form(content_type) and declared != UNKNOWN and not declared.startswith("image/"):
        raise MarketplaceError("UNSUPPORTED_MEDIA_TYPE")
    return [_picture(file) for file in await receive_files(content_type, body, folder, limits)]


def _picture(file: ReceivedFile) -> ReceivedPicture:
    media_type = picture_type(file.start)
    if media_type is not None:
        return ReceivedPicture(file.path, media_type, file.size)
    if file.is_part or (media_type_of(file.declared) or UNKNOWN) in EXPECTED:
        raise InvalidArgument([Violation(FIELD, NO_PICTURE)])
    raise MarketplaceError("UNSUPPORTED_MEDIA_TYPE")
