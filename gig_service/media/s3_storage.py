"""Images' files in a bucket of S3, or of a server with S3's API."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gig_service.media.storage import CACHE_CONTROL, KEY
from gig_service.settings import MediaSettings
from servicekit.errors import Unavailable

# While S3 is away a call takes at most 12 s, in two tries: a worker that stops may have to wait for one.
CONNECT_SECONDS = 1
READ_SECONDS = 5
TRIES = 2


class S3Storage:
    """A storage in a bucket. `client` is boto3's."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @classmethod
    def from_settings(cls, settings: MediaSettings) -> S3Storage:
        """Return a storage in the settings' bucket; boto3 finds the credentials: environment, files, machine role."""
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            # Other servers with S3's API know neither buckets as host names nor the newer checksums.
            s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        client = boto3.client(
            "s3", endpoint_url=settings.s3_endpoint_url or None, region_name=settings.s3_region or None, config=config
        )
        assert settings.s3_bucket
        return cls(client, settings.s3_bucket)

    def put(self, key: str, source: Path, media_type: str) -> None:
        """Store a copy of a file, to be served with this type and cached by clients for ever."""
        with _errors_as_unavailable(), source.open("rb") as body:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType=media_type, CacheControl=CACHE_CONTROL
            )

    def delete(self, key: str) -> None:
        """Delete a file."""
        with _errors_as_unavailable():
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def exists(self, key: str) -> bool:
        """Return whether there is a file with this key."""
        with _errors_as_unavailable():
            try:
                self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return False
                raise
            return True

    def fetch(self, key: str, target: Path) -> bool:
        """Write a copy of a file to a path; return False when there is no file with this key."""
        with _errors_as_unavailable():
            try:
                body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return False
                raise
            with target.open("wb") as file:
                shutil.copyfileobj(body, file)
            return True

    def keys(self, older_than: timedelta) -> Iterator[str]:
        """Yield the keys of the files of at least this age. An interrupted `put` leaves no file."""
        last = datetime.now(UTC) - older_than
        with _errors_as_unavailable():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket):
                for file in page.get("Contents", ()):
                    if KEY.fullmatch(file["Key"]) and file["LastModified"] <= last:
                        yield file["Key"]


@contextmanager
def _errors_as_unavailable() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, OSError) as error:
        raise Unavailable from error
