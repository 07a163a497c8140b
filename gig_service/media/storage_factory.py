"""The choice of the storage by the settings."""

from gig_service.media.folder_storage import FolderStorage
from gig_service.media.storage import Storage
from gig_service.settings import MediaSettings


def storage_from(settings: MediaSettings) -> Storage:
    """Return the storage that the settings name."""
    if settings.media_storage == "folder":
        assert settings.media_dir is not None
        return FolderStorage(settings.media_dir)
    # Imported on use: boto3 costs a process 30 MiB.
    from gig_service.media.s3_storage import S3Storage

    return S3Storage.from_settings(settings)
