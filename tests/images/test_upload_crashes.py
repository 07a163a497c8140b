"""The process dies in an upload: the gig has none or all of the pictures, and no file stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from servicekit.crash import STATUS
from servicekit.database import Database
from servicekit.storage.orphan_sweeper import OrphanSweeper
from tests.support.eventually import eventually
from tests.support.folders import temporary_folder
from tests.support.images import Images, ImagesProcess, a_picture, pieces
from tests.support.postgres import PostgresServer

BEFORE_THE_COMMIT = ["received", "picture stored", "files stored", "rows written"]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a folder that the process reaches after it has given up root."""
    with temporary_folder() as folder:
        yield Path(folder)


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.fresh("gig")


@pytest.fixture
def images(url: str, tmp_path: Path) -> Images:
    return Images(Database(url), tmp_path)


def sweep(images: Images) -> int:
    """Delete all files without an image, and return their number."""
    return OrphanSweeper(images.storage, images.store.images.orphans, images.database, older_than=timedelta(0)).sweep()


def uploading(process: ImagesProcess) -> bool:
    """Return whether the process has begun to store an incoming file."""
    return bool(list(process.upload_dir.glob("process-*/upload-*/0")))


def crash(url: str, tmp_path: Path, images: Images, gig_id: str, point: str) -> None:
    """Let the process die at this point of an upload."""
    with ImagesProcess(url, tmp_path, images.folder, CRASH_AT=point) as process:
        answer = process.uploads.form(gig_id, a_picture(), a_picture(color="red"), is_primary=True)

        assert answer.response is None
        assert process.process.wait(10) == STATUS


@pytest.mark.parametrize("point", BEFORE_THE_COMMIT)
def test_before_the_commit_the_gig_is_as_it_was_and_the_files_are_swept(
    url: str, images: Images, tmp_path: Path, point: str
) -> None:
    gig_id = images.gigs.create()
    images.upload(gig_id)
    before = images.gigs.etag(gig_id), images.shown(gig_id), images.files()

    crash(url, tmp_path, images, gig_id, point)

    left = images.files() - before[2]
    assert len(left) == {"received": 0, "picture stored": 1}.get(point, 4)
    assert (images.gigs.etag(gig_id), images.shown(gig_id)) == before[:2]
    assert sweep(images) == len(left)
    assert (images.shown(gig_id), images.files()) == before[1:]


def test_after_the_commit_the_gig_has_all_its_pictures(url: str, images: Images, tmp_path: Path) -> None:
    gig_id = images.gigs.create()

    crash(url, tmp_path, images, gig_id, "committed")

    shown = images.shown(gig_id)
    assert [is_primary for _, is_primary in shown] == [True, False]
    assert sweep(images) == 0
    assert {key for key, _ in shown} <= images.files()


def test_the_next_process_throws_away_what_was_coming_in_and_takes_pictures(
    url: str, images: Images, tmp_path: Path
) -> None:
    gig_id = images.gigs.create()
    crash(url, tmp_path, images, gig_id, "received")
    kept = tmp_path / "uploads" / "not-an-upload"
    kept.touch()
    [dead] = set(kept.parent.iterdir()) - {kept}

    with ImagesProcess(url, tmp_path, images.folder) as process:
        [own] = set(kept.parent.iterdir()) - {kept}
        assert own != dead and not list(own.iterdir())
        assert process.uploads.raw(gig_id).error == ""

    assert len(images.shown(gig_id)) == 1


def test_its_decoders_go_with_it(url: str, images: Images, tmp_path: Path) -> None:
    with ImagesProcess(url, tmp_path, images.folder) as process:
        process.uploads.raw(images.gigs.create())
        children = psutil.Process(process.process.pid).children(recursive=True)
        process.process.kill()

        _, alive = psutil.wait_procs(children, timeout=5)

    assert children
    assert not alive


def test_told_to_stop_it_finishes_the_uploads_under_way(url: str, images: Images, tmp_path: Path) -> None:
    gig_id = images.gigs.create()

    with ImagesProcess(url, tmp_path, images.folder, SHUTDOWN_GRACE_SECONDS="60") as process:

        def sending() -> Iterator[Any]:
            body = list(pieces(gig_id, "image/jpeg", a_picture() + b"\0" * 50_000))
            yield body[0]
            eventually(lambda: uploading(process))
            process.process.terminate()
            time.sleep(0.5)
            yield from body[1:]

        answer = process.uploads.send(sending())
        # It ends with the upload, long before its grace is over.
        assert process.process.wait(20) == 0

    assert answer.error == ""
    assert len(images.shown(gig_id)) == 1


def test_told_to_stop_it_cuts_off_who_does_not_come_to_an_end(url: str, images: Images, tmp_path: Path) -> None:
    gig_id = images.gigs.create()

    with ImagesProcess(url, tmp_path, images.folder, SHUTDOWN_GRACE_SECONDS="1") as process:

        def endless() -> Iterator[Any]:
            yield next(pieces(gig_id, "image/jpeg", a_picture()))
            # A minute: far longer than the process may live, but not for ever.
            for _ in range(1_200):
                time.sleep(0.05)
                yield next(pieces("", "", b"x"))

        call = process.uploads.begin(endless())
        eventually(lambda: uploading(process))
        process.process.terminate()

        assert process.process.wait(15) == 0
        call.cancel()

    assert list(process.upload_dir.glob("*/*")) == []
    assert images.shown(gig_id) == []
