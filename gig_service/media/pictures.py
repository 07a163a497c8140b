"""The files of images: the kind, and its storage."""

from __future__ import annotations

import re

from gig_service.media.decoded_picture import EXTENSIONS
from gig_service.settings import MediaSettings
from servicekit.storage.factory import make_storage
from servicekit.storage.storage import FileKind, Storage

PICTURES = FileKind(
    "files of images",
    re.compile(r"[0-9a-f]{2}/[0-9a-f]{32}\.(jpg|png|webp)"),
    is_public=True,
    types={extension: media_type for media_type, extension in EXTENSIONS.items()},
)


def storage_from(settings: MediaSettings) -> Storage:
    """Return the storage that the settings name."""
    return make_storage(settings, PICTURES, settings.media_dir, settings.s3_bucket)
