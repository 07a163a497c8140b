"""Pictures in a bucket of S3, or of what speaks like it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gig_service.images.storage import CACHE_CONTROL, KEY
from gig_service.settings import MediaSettings
from servicekit.errors import Unavailable

# A call takes two tries and 12 s at most when S3 is away: a worker that goes down may have one under way.
CONNECT_SECONDS = 1
READ_SECONDS = 5
TRIES = 2


class S3Storage:
    """A bucket. `client` is boto3's."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @classmethod
    def of(cls, settings: MediaSettings) -> S3Storage:
        """The bucket of the settings. Credentials come the AWS way: environment, files, or the machine's role."""
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            # Others that speak S3 know neither buckets as names of hosts nor the newer checksums.
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
        """Stores a copy of a file, to be served with this type and kept by clients for good."""
        with _translating(), source.open("rb") as body:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType=media_type, CacheControl=CACHE_CONTROL
            )

    def delete(self, key: str) -> None:
        """Removes a file."""
        with _translating():
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        with _translating():
            try:
                self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return False
                raise
            return True

    def keys(self, older_than: timedelta) -> Iterator[str]:
        """The keys of the files that have lain here for so long. A `put` that was cut off leaves none."""
        last = datetime.now(UTC) - older_than
        with _translating():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket):
                for found in page.get("Contents", ()):
                    if KEY.fullmatch(found["Key"]) and found["LastModified"] <= last:
                        yield found["Key"]


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, OSError) as error:
        raise Unavailable from error
