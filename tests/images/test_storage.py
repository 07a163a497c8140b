"""Files are stored, listed and deleted, in a folder and in S3."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from gig_service.media.pictures import PICTURES, storage_from
from gig_service.settings import MediaSettings
from servicekit.errors import Unavailable
from servicekit.storage.folder import FolderStorage
from servicekit.storage.s3 import S3Storage
from servicekit.storage.storage import Storage, new_key

BUCKET = "pictures"
NOW = timedelta(0)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Serve an S3 of our own, and return its URL."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def media_settings(**values: Any) -> MediaSettings:
    return MediaSettings(**values)


def settings_of_s3(url: str) -> MediaSettings:
    place = {"s3_bucket": BUCKET, "s3_endpoint_url": url, "s3_region": "us-east-1"}
    return media_settings(media_storage="s3", media_url="https://cdn.example.com", **place)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment variables from which boto3 reads credentials."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def bucket(s3: str, credentials: None) -> Iterator[S3Storage]:
    """Return a storage in an empty bucket."""
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    yield S3Storage.from_settings(settings_of_s3(s3), PICTURES, BUCKET)
    httpx.post(f"{s3}/moto-api/reset").raise_for_status()


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Return an empty storage of either kind."""
    if request.param == "folder":
        folder = tmp_path / "media"
        folder.mkdir()
        return FolderStorage(folder, PICTURES)
    bucket: S3Storage = request.getfixturevalue("bucket")
    return bucket


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture"
    path.write_bytes(b"picture")
    return path


def test_keys_tell_nothing_and_never_collide() -> None:
    keys = {new_key("jpg") for _ in range(10_000)}

    assert len(keys) == 10_000
    assert all(PICTURES.key.fullmatch(key) for key in keys)
    assert all(key[:2] == key[3:5] for key in keys)


def test_what_was_put_is_there_until_it_is_deleted(storage: Storage, picture: Path) -> None:
    key, other = new_key("jpg"), new_key("webp")
    storage.put(key, picture, "image/jpeg")
    storage.put(other, picture, "image/webp")

    there = storage.exists(key)
    storage.delete(key)

    assert there
    assert not storage.exists(key)
    assert storage.exists(other)
    assert list(storage.keys(NOW)) == [other]


def test_what_was_put_comes_back_as_it_was(storage: Storage, picture: Path, tmp_path: Path) -> None:
    key = new_key("jpg")
    storage.put(key, picture, "image/jpeg")

    there = storage.fetch(key, tmp_path / "copy")

    assert there
    assert (tmp_path / "copy").read_bytes() == b"picture"
    assert not storage.fetch(new_key("jpg"), tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_what_was_put_does_not_go_with_its_source(storage: Storage, picture: Path) -> None:
    key = new_key("png")
    storage.put(key, picture, "image/png")

    picture.unlink()

    assert storage.exists(key)


def test_what_is_not_there_can_be_deleted(storage: Storage) -> None:
    storage.delete(new_key("jpg"))


def test_only_what_is_old_enough_is_listed(storage: Storage, picture: Path) -> None:
    keys = {new_key("jpg") for _ in range(3)}
    for key in keys:
        storage.put(key, picture, "image/jpeg")

    assert list(storage.keys(timedelta(hours=1))) == []
    # S3 counts in whole seconds.
    time.sleep(1)
    assert set(storage.keys(timedelta(seconds=0.01))) == keys


@pytest.fixture
def folder(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path, PICTURES)


def test_the_edge_may_read_the_files_whatever_the_umask_is(
    folder: FolderStorage, tmp_path: Path, picture: Path
) -> None:
    key = new_key("jpg")
    before = os.umask(0o077)
    try:
        folder.put(key, picture, "image/jpeg")
    finally:
        os.umask(before)

    assert (tmp_path / key).read_bytes() == b"picture"
    assert (tmp_path / key).stat().st_mode & 0o777 == 0o644
    assert (tmp_path / key).parent.stat().st_mode & 0o777 == 0o755


def test_a_full_disk_leaves_nothing_and_says_unavailable(
    folder: FolderStorage, tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)

    with pytest.raises(Unavailable):
        folder.put(new_key("jpg"), picture, "image/jpeg")
    assert list(folder.keys(NOW)) == []


def test_what_a_crash_left_half_written_is_listed_to_be_deleted(folder: FolderStorage, tmp_path: Path) -> None:
    leftover = new_key("jpg") + ".unfinished"
    (tmp_path / leftover).parent.mkdir()
    (tmp_path / leftover).write_bytes(b"pict")

    assert list(folder.keys(NOW)) == [leftover]

    folder.delete(leftover)
    assert list(folder.keys(NOW)) == []


def test_files_of_others_are_passed_over(folder: FolderStorage, tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "holiday.jpg").touch()
    (tmp_path / "README").touch()

    assert list(folder.keys(NOW)) == []


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", "ab/../../secret", "ab/" + "a" * 32 + ".svg", ""])
def test_there_is_no_way_out_of_the_folder(folder: FolderStorage, picture: Path, key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        folder.put(key, picture, "image/jpeg")
    with pytest.raises(ValueError, match="no key"):
        folder.delete(key)


def test_s3_serves_files_with_their_type_to_be_kept_for_good(bucket: S3Storage, s3: str, picture: Path) -> None:
    key = new_key("webp")

    bucket.put(key, picture, "image/webp")

    response = boto3.client("s3", endpoint_url=s3, region_name="us-east-1").get_object(Bucket=BUCKET, Key=key)
    assert response["Body"].read() == b"picture"
    assert response["ContentType"] == "image/webp"
    assert response["CacheControl"] == "public, max-age=31536000, immutable"


def test_a_bucket_of_many_pages_is_listed_whole(bucket: S3Storage, s3: str, picture: Path) -> None:
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    pages: list[int] = []

    def two_a_page(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        pages.append(2)
        return {**params, "MaxKeys": 2}

    client.meta.events.register("provide-client-params.s3.ListObjectsV2", two_a_page)
    keys = {new_key("jpg") for _ in range(5)}
    for key in keys:
        bucket.put(key, picture, "image/jpeg")
    client.put_object(Bucket=BUCKET, Key="backups/other.jpg", Body=b"")

    listed = list(S3Storage(client, PICTURES, BUCKET).keys(NOW))

    assert len(pages) == 3
    assert len(listed) == 5
    assert set(listed) == keys


def test_s3_that_is_away_is_unavailable(credentials: None, picture: Path) -> None:
    away = S3Storage.from_settings(settings_of_s3("http://127.0.0.1:9"), PICTURES, BUCKET)

    with pytest.raises(Unavailable):
        away.put(new_key("jpg"), picture, "image/jpeg")
    with pytest.raises(Unavailable):
        away.exists(new_key("jpg"))


def test_a_bucket_that_is_not_there_is_unavailable(s3: str, credentials: None, picture: Path) -> None:
    with pytest.raises(Unavailable):
        S3Storage.from_settings(settings_of_s3(s3), PICTURES, BUCKET).put(new_key("jpg"), picture, "image/jpeg")


def test_the_settings_say_which_kind_it_is(tmp_path: Path, credentials: None) -> None:
    folder = media_settings(media_dir=tmp_path, media_url="https://market.example.com/media")

    assert isinstance(storage_from(folder), FolderStorage)
    assert isinstance(storage_from(settings_of_s3("http://127.0.0.1:9")), S3Storage)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"media_url": "https://a.example"}, "needs MEDIA_DIR"),
        ({"media_url": "https://a.example", "media_storage": "s3"}, "needs S3_BUCKET"),
        ({"media_url": "/media", "media_dir": "/m"}, "media_url"),
    ],
)
def test_a_place_that_is_not_named_is_asked_for(values: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        media_settings(**values)
