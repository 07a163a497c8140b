"""Files in a bucket: over HTTP their readers get a URL for a minute, over gRPC the bytes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from order_service.store.store import Store
from servicekit.database import Database
from tests.support.events import EventServer
from tests.support.eventually import eventually
from tests.support.files import Files, send_in_message
from tests.support.orderservice import STRANGER

BUCKET = "files"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve an S3 of our own with an empty bucket, and return its URL."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket=BUCKET)
    yield url
    httpx.post(f"{url}/moto-api/reset").raise_for_status()
    server.stop()


@pytest.fixture
def files(order_database: Database, s3: str) -> Iterator[Files]:
    place: dict[str, Any] = {
        "files_dir": None,
        "files_s3_bucket": BUCKET,
        "s3_endpoint_url": s3,
        "s3_region": "us-east-1",
    }
    with EventServer(order_database, media_storage="s3", **place) as server, server.channel() as channel:
        yield Files(channel)


def keys(s3: str) -> list[str]:
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    return [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_over_http_the_answer_is_a_url_of_a_minute(files: Files, s3: str) -> None:
    file_id = files.upload(b"hello", "text/html", "Über.html").response.file_id

    download = files.get(file_id, x_edge_method="GET")

    assert (download.headers["x-edge-status"], download.data) == ("302", b"")
    assert download.headers["cache-control"] == "private, no-store"
    url = download.headers["location"]
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["60"]
    got = httpx.get(url)
    assert (got.status_code, got.content, got.headers["content-type"]) == (200, b"hello", "text/html")
    assert got.headers["content-disposition"].endswith("filename*=UTF-8''%C3%9Cber.html")
    part = httpx.get(url, headers={"range": "bytes=1-2"})
    assert (part.status_code, part.content) == (206, b"el")
    head = httpx.head(files.get(file_id, x_edge_method="HEAD").headers["location"])
    assert (head.status_code, head.headers["content-length"]) == (200, "5")
    # Nothing in the bucket tells the name, and without the signature it is nobody's.
    [key] = keys(s3)
    assert "ber" not in key
    assert "html" not in key


def test_a_signature_is_of_this_moment(files: Files) -> None:
    file_id = files.upload().response.file_id
    first = files.get(file_id, x_edge_method="GET").headers["location"]
    time.sleep(1.1)

    assert files.get(file_id, x_edge_method="GET").headers["location"] != first


def test_over_grpc_the_answer_is_the_file(files: Files) -> None:
    data = bytes(range(256)) * 1000
    file_id = files.upload(data).response.file_id

    assert files.get(file_id).data == data
    part = files.get(file_id, range="bytes=250000-250009")
    assert (part.data, part.headers["content-range"]) == (data[250000:250010], "bytes 250000-250009/256000")


def test_no_stranger_gets_a_url(files: Files) -> None:
    download = files.get(files.upload().response.file_id, STRANGER, x_edge_method="GET")

    assert download.answer.error == "NOT_FOUND"
    assert "location" not in download.headers


def test_a_removed_file_goes_from_the_bucket(files: Files, s3: str, order_database: Database) -> None:
    store = Store(order_database)
    message = send_in_message(store, order_database, [UUID(files.upload().response.file_id)])

    with store.transaction("remove"):
        store.files.remove_of_message(message)

    eventually(lambda: keys(s3) == [])
