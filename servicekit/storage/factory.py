"""The choice of a storage by the settings."""

from __future__ import annotations

from pathlib import Path

from servicekit.storage.folder import FolderStorage
from servicekit.storage.settings import StorageSettings
from servicekit.storage.storage import FileKind, Storage


def make_storage(settings: StorageSettings, kind: FileKind, folder: Path | None, bucket: str | None) -> Storage:
    """Return the storage of a kind: this folder or this bucket, as the settings say."""
    if settings.media_storage == "folder":
        assert folder is not None
        return FolderStorage(folder, kind)
    # Imported on use: boto3 costs a process 30 MiB.
    from servicekit.storage.s3 import S3Storage

    assert bucket
    return S3Storage.from_settings(settings, kind, bucket)
