"""Files in a bucket of S3, or of a server with S3's API."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from servicekit.errors import Unavailable
from servicekit.storage.settings import StorageSettings
from servicekit.storage.storage import Attachment, FileKind, Span

# While S3 is away a call takes at most 12 s, in two tries: a worker that stops may have to wait for one.
CONNECT_SECONDS = 1
READ_SECONDS = 5
TRIES = 2
PIECE_BYTES = 64 * 1024


class S3Storage:
    """A storage in a bucket. `client` is boto3's."""

    def __init__(self, client: Any, kind: FileKind, bucket: str) -> None:
        self._client = client
        self.kind = kind
        self._bucket = bucket

    @classmethod
    def from_settings(cls, settings: StorageSettings, kind: FileKind, bucket: str) -> S3Storage:
        """Return a storage in this bucket; boto3 finds the credentials: environment, files, machine role."""
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            # The signature of today, also in URLs.
            signature_version="s3v4",
            # Other servers with S3's API know neither buckets as host names nor the newer checksums.
            s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        client = boto3.client(
            "s3", endpoint_url=settings.s3_endpoint_url or None, region_name=settings.s3_region or None, config=config
        )
        return cls(client, kind, bucket)

    def put(self, key: str, source: Path, media_type: str) -> None:
        """Store a copy of a file, to be served with this type."""
        with _errors_as_unavailable(), source.open("rb") as body:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType=media_type, CacheControl=self.kind.cache_control
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
                if _is_missing(error):
                    return False
                raise
            return True

    def fetch(self, key: str, target: Path) -> bool:
        """Write a copy of a file to a path; return False when there is no file with this key."""
        with _errors_as_unavailable():
            try:
                body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            except ClientError as error:
                if _is_missing(error):
                    return False
                raise
            with target.open("wb") as file:
                shutil.copyfileobj(body, file)
            return True

    @contextmanager
    def read(self, key: str, span: Span) -> Iterator[Iterator[bytes]]:
        """Yield an iterator of the pieces of a part of a file. Raises FileNotFoundError."""
        last = span.first + span.length - 1
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={span.first}-{last}")
        except ClientError as error:
            if _is_missing(error):
                raise FileNotFoundError(key) from error
            raise Unavailable from error
        except BotoCoreError as error:
            raise Unavailable from error
        with closing(answer["Body"]) as body:
            yield _pieces(body)

    def url(self, key: str, method: str, attachment: Attachment, lifetime: timedelta) -> str:
        """Return a URL at which the file can be read with GET or HEAD for so long."""
        with _errors_as_unavailable():
            url: str = self._client.generate_presigned_url(
                "head_object" if method == "HEAD" else "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "ResponseContentType": attachment.media_type,
                    "ResponseContentDisposition": attachment.disposition,
                    "ResponseCacheControl": self.kind.cache_control,
                },
                ExpiresIn=int(lifetime.total_seconds()),
            )
        return url

    def keys(self, older_than: timedelta) -> Iterator[str]:
        """Yield the keys of the files of at least this age. An interrupted `put` leaves no file."""
        last = datetime.now(UTC) - older_than
        with _errors_as_unavailable():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket):
                for file in page.get("Contents", ()):
                    if self.kind.key.fullmatch(file["Key"]) and file["LastModified"] <= last:
                        yield file["Key"]


def _is_missing(error: ClientError) -> bool:
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 404)


def _pieces(body: Any) -> Iterator[bytes]:
    with _errors_as_unavailable():
        yield from body.iter_chunks(PIECE_BYTES)


@contextmanager
def _errors_as_unavailable() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, OSError) as error:
        raise Unavailable from error
