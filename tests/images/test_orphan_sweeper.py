"""No file is lost and none is left, whichever process dies, between whichever two steps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from gig_service.store import images as image_store
from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from servicekit.errors import Unavailable
from servicekit.storage.folder import FolderStorage
from servicekit.storage.orphan_sweeper import OrphanSweeper
from tests.support.at_once import at_once
from tests.support.eventually import eventually
from tests.support.media import Media, files_of
from tests.support.postgres import ROOT, PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.fresh("gig")


@pytest.fixture
def media(url: str, tmp_path: Path) -> Iterator[Media]:
    database = Database(url)
    yield Media(database, tmp_path)
    database.close()


@pytest.fixture
def gig_id(media: Media) -> str:
    return media.gigs.create()


def sweeper(media: Media, **options: Any) -> OrphanSweeper:
    return OrphanSweeper(media.storage, media.store.images.orphans, media.database, **options)


def swept() -> float:
    return REGISTRY.get_sample_value("marketplace_media_swept_total") or 0.0


# A deletion: rows go while the outbox gets its row, then file after file is deleted, then the outbox's row.


def test_the_files_of_a_deleted_image_go_and_no_others(media: Media, gig_id: str) -> None:
    first, second = media.upload(gig_id), media.upload(gig_id)

    media.delete(gig_id, first)
    assert media.files() == files_of(first, second)
    assert media.deliver()

    assert media.files() == files_of(second)


def test_the_files_of_a_deleted_gig_go(media: Media, gig_id: str) -> None:
    for _ in range(3):
        media.upload(gig_id)
    kept = media.upload(media.gigs.create())

    media.gigs.call(gig_pb2.DeleteGigRequest(gig_id=gig_id))
    media.deliver()

    assert media.files() == files_of(kept)


def test_a_crash_before_the_commit_leaves_rows_and_files(media: Media, gig_id: str) -> None:
    image = media.upload(gig_id)

    with pytest.raises(KeyboardInterrupt), media.store.transaction():
        media.store.gigs.lock(UUID(gig_id))
        media.store.images.save(UUID(gig_id), media.store.images.of_gig(UUID(gig_id)), [])
        raise KeyboardInterrupt
    media.deliver()

    assert media.store.images.exists(image.id)
    assert media.files() == files_of(image)


@pytest.mark.parametrize("deleted", [0, 1, 2])
def test_a_relay_killed_after_any_number_of_files_leaves_the_rest_to_the_next(
    media: Media, gig_id: str, url: str, deleted: int
) -> None:
    gone, kept = media.upload(gig_id), media.upload(gig_id)
    media.delete(gig_id, gone)

    command = [sys.executable, "-m", "tests.support.dying_relay", url, str(media.folder), str(deleted)]
    path = os.pathsep.join((str(ROOT), str(ROOT / "generated")))
    killed = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(media.files()) == 4 - deleted

    # The server may take a moment to see that the connection is gone.
    eventually(media.deliver)
    assert media.files() == files_of(kept)


def test_a_storage_that_is_away_is_waited_for(media: Media, gig_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    media.delete(gig_id, media.upload(gig_id))
    delete = media.storage.delete

    def away(key: str) -> None:
        raise Unavailable

    monkeypatch.setattr(media.storage, "delete", away)
    relay = media.relay()
    relay.start()
    try:
        time.sleep(0.5)
        assert len(media.files()) == 2
        monkeypatch.setattr(media.storage, "delete", delete)

        eventually(lambda: not media.files())
    finally:
        relay.stop()


# An upload: the files of all pictures, then all rows at once. A crash leaves at most files without rows.


def test_files_of_an_upload_that_died_go_after_fifty_minutes_and_not_before(media: Media, gig_id: str) -> None:
    image, dead, under_way = media.upload(gig_id), media.put(), media.put()
    half = next(iter(files_of(media.put())))
    for key in files_of(dead) | {half}:
        media.age(key)
    for key in files_of(under_way):
        media.age(key, by=timedelta(minutes=49))
    before = media.files()

    assert sweeper(media).sweep() == 3

    assert media.files() == before - files_of(dead) - {half}
    assert media.files() >= files_of(image, under_way)


def test_a_crash_while_the_rows_are_written_leaves_files_to_the_sweeper_and_the_gig_as_it_was(
    media: Media, gig_id: str
) -> None:
    page, new = media.gigs.page(gig_id), media.put()
    with pytest.raises(KeyboardInterrupt), media.store.transaction():
        media.insert(gig_id, new, first_is_primary=True)
        raise KeyboardInterrupt
    media.age(*files_of(new))

    sweeper(media).sweep()

    assert media.files() == set()
    assert media.gigs.page(gig_id) == page


def test_what_a_kill_left_half_written_goes(media: Media, gig_id: str) -> None:
    image = media.upload(gig_id)
    half = media.folder / f"{image.key}.unfinished"
    half.write_bytes(b"pict")
    media.age(half.relative_to(media.folder).as_posix(), image.key)

    sweeper(media).sweep()

    assert media.files() == files_of(image)


def test_a_file_with_a_row_is_never_swept_however_old(media: Media, gig_id: str) -> None:
    images = [media.upload(gig_id) for _ in range(3)]
    media.age(*files_of(*images), by=timedelta(days=1000))

    assert sweeper(media, older_than=timedelta(0)).sweep() == 0

    assert media.files() == files_of(*images)


def test_files_that_wait_for_the_relay_are_left_to_it(media: Media, gig_id: str) -> None:
    image = media.upload(gig_id)
    media.age(*files_of(image))
    media.delete(gig_id, image)

    assert sweeper(media).sweep() == 0
    media.deliver()

    assert media.files() == set()


def test_two_that_sweep_at_once_delete_all_there_is_and_nothing_else(media: Media, gig_id: str) -> None:
    images = [media.upload(gig_id) for _ in range(5)]
    dead = [media.put() for _ in range(20)]
    media.age(*files_of(*images, *dead))

    assert at_once([sweeper(media).sweep, sweeper(media).sweep], media.database) == ["won", "won"]

    assert media.files() == files_of(*images)


def test_uploads_and_deletions_go_on_while_everything_is_swept(media: Media, gig_id: str) -> None:
    """Rows and files come and go during sweeps; every file is old enough to be swept."""
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            sweeper(media).sweep()

    def come_and_go() -> None:
        try:
            for _ in range(15):
                image = media.upload(gig_id)
                media.age(*files_of(image))
                if len(media.store.gigs.get(UUID(gig_id)).image_ids) > 3:
                    media.delete(gig_id, media.store.gigs.page(UUID(gig_id)).images[0])
                media.deliver()
        finally:
            stop.set()

    assert at_once([sweep, sweep, come_and_go], media.database) == ["won"] * 3

    images = media.store.gigs.page(UUID(gig_id)).images
    assert len(images) == 3
    assert media.files() == files_of(*images)


def test_more_files_than_are_asked_about_at_once_are_told_apart(
    media: Media, gig_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_store, "BATCH", 3)
    images, dead = [media.upload(gig_id) for _ in range(4)], [media.put() for _ in range(4)]
    media.age(*files_of(*images, *dead))

    assert sweeper(media).sweep() == 8

    assert media.files() == files_of(*images)


def test_a_file_that_cannot_be_deleted_holds_up_no_other(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, dead = media.put(), media.put()
    media.age(*files_of(stuck, dead))
    delete = FolderStorage.delete

    def refuse(storage: FolderStorage, key: str) -> None:
        if key == stuck.key:
            raise Unavailable
        delete(storage, key)

    monkeypatch.setattr(FolderStorage, "delete", refuse)

    assert sweeper(media).sweep() == 3

    assert media.files() == {stuck.key}


def test_it_sweeps_at_its_start_and_every_so_often_and_counts(media: Media) -> None:
    before = swept()
    first = media.put()
    media.age(*files_of(first))
    running = sweeper(media, every_seconds=0.05)
    running.start()
    try:
        eventually(lambda: not media.files())
        second = media.put()
        media.age(*files_of(second))
        eventually(lambda: not media.files())
    finally:
        running.stop()

    assert swept() == before + 4


def test_it_waits_out_a_storage_and_a_database_that_are_away(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    media.age(*files_of(media.put()))
    known, was_called = media.store.images.known, threading.Event()

    def away(keys: list[str]) -> set[str]:
        was_called.set()
        raise Unavailable

    monkeypatch.setattr(media.store.images, "known", away)
    running = sweeper(media, every_seconds=0.05)
    running.start()
    try:
        assert was_called.wait(5)
        assert len(media.files()) == 2
        monkeypatch.setattr(media.store.images, "known", known)
        eventually(lambda: not media.files())
    finally:
        running.stop()


def test_it_stops_while_it_sweeps_and_while_it_waits_an_hour(media: Media) -> None:
    for every_seconds in (0.0, 3600.0):
        running = sweeper(media, every_seconds=every_seconds)
        running.start()
        time.sleep(0.1)

        running.stop()

        eventually(lambda: "orphan sweeper" not in {thread.name for thread in threading.enumerate()})
