"""Settings of GigService's processes: of the workers, and of the process that takes uploads."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, field_validator, model_validator

from servicekit.settings import ProcessUser, ServiceSettings
from servicekit.storage.settings import StorageSettings


class MediaSettings(StorageSettings):
    """The storage and the URLs of images."""

    media_dir: Path | None = Field(None, description="The folder of pictures; the edge serves it at /media.")
    media_url: str = Field(
        pattern=r"^https?://[^/?#]+(/[^?#]*)?$", description="What the URLs of pictures begin with: http(s), absolute."
    )
    image_max_count: int = Field(20, ge=1, le=100, description="Images that a gig can have.")

    @field_validator("media_url")
    @classmethod
    def _strip_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @model_validator(mode="after")
    def _check_storage(self) -> Self:
        if self.media_storage == "folder" and self.media_dir is None:
            raise ValueError("MEDIA_STORAGE=folder needs MEDIA_DIR")
        if self.media_storage == "s3" and not self.s3_bucket:
            raise ValueError("MEDIA_STORAGE=s3 needs S3_BUCKET")
        return self


class GigSettings(MediaSettings, ServiceSettings):
    """The settings of all processes of GigService."""

    gig_database_url: str = Field(description="GigService's database: a libpq URL.")


class Settings(GigSettings):
    """The settings of a worker of GigService."""

    program: ClassVar[str] = "gig"

    ready_pages_mib: int = Field(
        16, ge=0, le=1024, description="MiB of gig pages that a worker keeps ready to be sent; 0: none."
    )


class ImageSettings(GigSettings):
    """The settings of the process that takes uploads."""

    program: ClassVar[str] = "gig-images"

    max_concurrent_rpcs: int = Field(
        1000, ge=1, description="Calls that the process accepts at once, refused uploads included."
    )
    image_uploads: int = Field(200, ge=1, description="Uploads under way at once; further ones are UNAVAILABLE.")
    image_uploads_per_user: int = Field(
        10, ge=1, description="Uploads of one user under way at once; further ones are RATE_LIMITED."
    )
    image_upload_min_rate: int = Field(
        1024, ge=1, description="Bytes a second that an upload must have on average, after its first 20 seconds."
    )
    image_max_bytes: int = Field(10 * 1024 * 1024, ge=1024, description="Bytes that an uploaded picture can have.")
    image_max_pixels: int = Field(50_000_000, ge=1, description="Pixels that an uploaded picture can have.")
    image_decoders: int = Field(1, ge=1, le=16, description="Processes that decode pictures.")
    image_decode_seconds: float = Field(20, gt=0, description="How long one picture may be decoded.")
    image_decode_memory_mib: int = Field(1024, ge=128, description="What one decoder may have of memory, in MiB.")
    image_wait_seconds: float = Field(
        60, gt=0, description="How long a picture may wait for a decoder; with a longer wait ahead it is UNAVAILABLE."
    )
    decoder_run_as: ProcessUser = Field("65529:65529", description="The uid and gid of decoders when root starts them.")
    upload_dir: Path | None = Field(
        None,
        description="The folder where uploads lie while they come in; a temporary one by default.",
    )
