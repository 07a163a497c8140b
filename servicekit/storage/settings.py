"""The settings of where files are stored. boto3 reads S3's credentials from the environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class StorageSettings(BaseSettings):
    """The settings that the storages of all services share."""

    media_storage: Literal["folder", "s3"] = Field(
        "folder", description="What keeps pictures and files: folders, or S3."
    )
    s3_bucket: str | None = Field(None, description="The bucket of pictures.")
    s3_endpoint_url: str | None = Field(None, description="Where S3 answers, when that is not Amazon's.")
    s3_region: str | None = Field(None, description="The region of the buckets.")
