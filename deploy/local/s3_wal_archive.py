"""An archive of PostgreSQL's log in a bucket of S3, or of a server with S3's API."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deploy.local.wal_files import compress, decompress, is_same

_CONNECT_SECONDS = 5
_READ_SECONDS = 30
_TRIES = 3


class S3Archive:
    """An archive below a prefix of a bucket. `client` is boto3's."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    @classmethod
    def from_environment(cls, where: str, system: str) -> "S3Archive":
        """Return the archive at `s3://bucket/prefix`; boto3 finds the credentials, as for images. Raises OSError."""
        endpoint = os.environ.get("S3_ENDPOINT_URL") or None
        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": _TRIES},
            s3={"addressing_style": "path" if endpoint else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        place = urlsplit(where)
        with _errors_as_os_errors():
            client = boto3.client(
                "s3", endpoint_url=endpoint, region_name=os.environ.get("S3_REGION") or None, config=config
            )
        return cls(client, place.netloc, "/".join(filter(None, (place.path.strip("/"), system))) + "/")

    def store(self, name: str, source: Path) -> bool:
        """Store a file; return False when another file has its name."""
        with _errors_as_os_errors():
            stored = self._get(name)
            if stored is not None:
                return is_same(io.BytesIO(stored.read()), source)
            # A file of the log has 16 MiB.
            packed = io.BytesIO()
            with source.open("rb") as original:
                compress(original, packed)
            self._client.put_object(Bucket=self._bucket, Key=self._key(name), Body=packed.getvalue())
            return True

    def fetch(self, name: str, target: Path) -> bool:
        """Write a copy of a file to a path; return False when there is none."""
        with _errors_as_os_errors():
            stored = self._get(name)
            if stored is None:
                return False
            decompress(io.BytesIO(stored.read()), target)
            return True

    def names(self) -> Iterator[str]:
        """Yield the names of all files."""
        with _errors_as_os_errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            for page in pages:
                for file in page.get("Contents", ()):
                    yield file["Key"].removeprefix(self._prefix).removesuffix(".gz")

    def delete(self, name: str) -> None:
        """Delete a file."""
        with _errors_as_os_errors():
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def _get(self, name: str) -> Any:
        """Return the body of a file, or None when there is none."""
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._key(name))["Body"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}.gz"


@contextmanager
def _errors_as_os_errors() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise OSError(str(error)) from error
