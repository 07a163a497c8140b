"""The check finds images whose files are missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from gig_service.images.check import MissingFile, Report, check, main
from servicekit.database import Database
from tests.support.gigs import MEDIA_URL
from tests.support.media import Media
from tests.support.postgres import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.fresh("gig")


@pytest.fixture
def media(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Media]:
    """Return gigs with images, and set the environment of the check."""
    database = Database(url)
    media = Media(database, tmp_path)
    monkeypatch.setenv("GIG_DATABASE_URL", url)
    monkeypatch.setenv("MEDIA_URL", MEDIA_URL)
    monkeypatch.setenv("MEDIA_DIR", str(media.folder))
    yield media
    database.close()


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Run the command, and return its exit status and its lines."""
    capsys.readouterr()
    status = main()
    return status, capsys.readouterr().out.splitlines()


def test_nothing_is_missing_where_all_files_are(media: Media, capsys: pytest.CaptureFixture[str]) -> None:
    gig_id = media.gigs.create()
    media.upload(gig_id)
    media.upload(gig_id)

    assert check(media.store, media.storage) == Report(2, [], 0)
    assert printed(capsys) == (0, ["images: 2, files gone: 0, files without an image: 0"])


def test_each_file_that_is_gone_is_named_with_its_image_and_its_gig(
    media: Media, capsys: pytest.CaptureFixture[str]
) -> None:
    gig_id = media.gigs.create()
    media.upload(gig_id)
    image = media.upload(gig_id)
    (media.folder / image.thumbnail_key).unlink()

    assert check(media.store, media.storage).missing == [MissingFile(UUID(gig_id), image.id, image.thumbnail_key)]
    assert printed(capsys) == (
        1,
        [
            f"gig {gig_id} image {image.id}: {image.thumbnail_key} is gone",
            "images: 2, files gone: 1, files without an image: 0",
        ],
    )


def test_files_without_an_image_are_counted_and_are_no_fault(media: Media, capsys: pytest.CaptureFixture[str]) -> None:
    media.put()

    assert printed(capsys) == (0, ["images: 0, files gone: 0, files without an image: 2"])


def test_an_image_that_was_deleted_lacks_no_file_and_its_files_wait_for_the_relay(media: Media) -> None:
    gig_id = media.gigs.create()
    media.delete(gig_id, media.upload(gig_id))

    assert check(media.store, media.storage) == Report(0, [], 0)
    media.deliver()
    assert check(media.store, media.storage) == Report(0, [], 0)


def test_an_image_deleted_while_it_is_checked_lacks_no_file(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    gig_id = media.gigs.create()
    image = media.upload(gig_id)

    def gone(key: str) -> bool:
        if media.store.images.exists(image.id):
            media.delete(gig_id, image)
            media.deliver()
        return False

    monkeypatch.setattr(media.storage, "exists", gone)

    assert check(media.store, media.storage).missing == []


def test_a_check_that_cannot_be_made_finds_nothing_and_says_so(
    media: Media, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIG_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")

    assert main() == 2

    output = capsys.readouterr()
    assert "The pictures cannot be checked" in output.err
    assert output.out == ""


def test_it_wants_the_settings_of_the_service(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIG_DATABASE_URL")

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
