"""The storage of files. It is never the one of pictures, which anyone may read."""

from __future__ import annotations

import re

from order_service.settings import FileStorageSettings
from servicekit.storage.factory import make_storage
from servicekit.storage.storage import FileKind, Storage

FILES = FileKind("files of users", re.compile(r"[0-9a-f]{2}/[0-9a-f]{32}"), is_public=False)


def storage_from(settings: FileStorageSettings) -> Storage:
    """Return the storage that the settings name."""
    return make_storage(settings, FILES, settings.files_dir, settings.files_s3_bucket)
