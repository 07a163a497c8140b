"""Uploads add all of their pictures or none, whichever step fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from prometheus_client import REGISTRY

from gig_service.domain.gig import Gig
from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database, DatabaseAway
from servicekit.errors import Unavailable
from servicekit.ids import new_id
from tests.support.eventually import eventually
from tests.support.images import FORM, MEDIA_URL, Images, Uploads, a_form, a_picture, pieces

BROKEN = b"\xff\xd8\xff not a picture"


@pytest.fixture
def images(gig_database: Database, tmp_path: Path) -> Images:
    return Images(gig_database, tmp_path)


@pytest.fixture
def uploads(images: Images) -> Iterator[Uploads]:
    with images.serving() as uploads:
        yield uploads


@pytest.fixture
def gig_id(images: Images) -> str:
    return images.gigs.create()


@contextmanager
def nothing_changes(images: Images, gig_id: str) -> Iterator[None]:
    """Assert that the gig and the files are the same afterwards."""
    before = images.gigs.etag(gig_id), images.shown(gig_id), images.files()
    yield
    assert (images.gigs.etag(gig_id), images.shown(gig_id), images.files()) == before
    eventually(lambda: not list(images.upload_dir.iterdir()))


def counted(outcome: str) -> float:
    """Return the number of uploads with this outcome, as the metrics have it."""
    return REGISTRY.get_sample_value("marketplace_uploads_total", {"outcome": outcome}) or 0.0


def endless(gig_id: str, **fields: Any) -> Iterator[Any]:
    """Yield messages for much longer than a refusal takes, as a client that never stops sending."""
    first = next(pieces(gig_id, "image/jpeg", a_picture(), **fields))
    yield first
    for _ in range(6_000):
        time.sleep(0.01)
        yield next(pieces("", "", b"x" * 1000))


def test_a_picture_is_on_the_gigs_page_and_its_files_are_where_the_urls_say(
    images: Images, uploads: Uploads, gig_id: str
) -> None:
    answer = uploads.raw(gig_id)

    assert answer.error == ""
    (image,) = answer.response.images
    (shown,) = images.gigs.page(gig_id).images
    assert (image.id, image.url.split("/media/")[1], image.is_primary) == (
        shown.id,
        shown.url.split("/media/")[1],
        True,
    )
    assert {image.url, image.thumbnail_url} == {f"{MEDIA_URL}/{key}" for key in images.files()}
    assert answer.headers["etag"] == images.gigs.etag(gig_id)
    assert list(images.upload_dir.iterdir()) == []


@pytest.mark.parametrize(("kind", "extension"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "png")])
def test_every_kind_is_taken(uploads: Uploads, gig_id: str, kind: str, extension: str) -> None:
    answer = uploads.raw(gig_id, a_picture(kind), f"image/{kind.lower()}")

    assert answer.response.images[0].url.endswith(f".{extension}")
    assert answer.response.images[0].thumbnail_url.endswith(".webp")


@pytest.mark.parametrize("declared", ["image/jpg", "image/gif", "application/octet-stream", "", "image/svg+xml"])
def test_the_bytes_tell_what_a_file_is_whatever_the_client_says(uploads: Uploads, gig_id: str, declared: str) -> None:
    raw = uploads.raw(gig_id, a_picture("WEBP"), declared)
    form = uploads.send(pieces(gig_id, FORM, a_form(a_picture("PNG"), media_type=declared)))

    assert raw.response.images[0].url.endswith(".webp")
    assert form.response.images[0].url.endswith(".png")


def test_a_forms_files_come_in_their_order_and_the_first_may_become_the_primary_one(
    images: Images, uploads: Uploads, gig_id: str
) -> None:
    uploads.raw(gig_id)

    answer = uploads.form(gig_id, a_picture(color="red"), a_picture(size=(900, 30)), is_primary=True)

    assert [image.is_primary for image in answer.response.images] == [True, False]
    assert [is_primary for _, is_primary in images.shown(gig_id)] == [False, True, False]
    assert len(images.files()) == 6


def test_a_form_with_one_broken_picture_changes_nothing(images: Images, uploads: Uploads, gig_id: str) -> None:
    with nothing_changes(images, gig_id):
        answer = uploads.form(gig_id, a_picture(), BROKEN, a_picture())

    assert answer.error == "INVALID_ARGUMENT"
    assert [detail["field"] for detail in answer.body["details"]] == ["file"]


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("image/svg+xml", b"<svg/>", "UNSUPPORTED_MEDIA_TYPE"),
        ("image/png", BROKEN, "INVALID_ARGUMENT"),
        ("application/json", a_picture(), "UNSUPPORTED_MEDIA_TYPE"),
        ("image/jpeg", b"", "INVALID_ARGUMENT"),
        ("image/jpeg", b"x" * (10 * 2**20 + 1), "PAYLOAD_TOO_LARGE"),
        ("image/png", a_picture("PNG", size=(8000, 8000)), "PAYLOAD_TOO_LARGE"),
        (FORM, a_form(), "INVALID_ARGUMENT"),
        (FORM, a_form(b"<html>", media_type="text/html"), "INVALID_ARGUMENT"),
        (FORM, a_form(a_picture())[:-10], "INVALID_ARGUMENT"),
        (FORM, a_form(*[a_picture()] * 21), "LIMIT_REACHED"),
    ],
)
def test_what_is_refused_changes_nothing(
    images: Images, uploads: Uploads, gig_id: str, content_type: str, body: bytes, code: str
) -> None:
    before = counted(code)

    with nothing_changes(images, gig_id):
        answer = uploads.send(pieces(gig_id, content_type, body))

    assert answer.error == code
    assert counted(code) == before + 1


def test_who_may_not_is_told_while_still_sending(images: Images, uploads: Uploads, gig_id: str) -> None:
    paused = images.gigs.create()
    images.gigs.set_status(paused, "PAUSED")
    full = images.gigs.create()
    images.gigs.add_images(full, 20)

    answers = [
        uploads.send(endless(gig_id), "somebody_else"),
        uploads.send(endless(paused), "somebody_else"),
        uploads.send(endless(str(new_id()))),
        uploads.send(endless("17")),
        uploads.send(endless(gig_id), if_match='"99-0-0"'),
        uploads.send(endless(full)),
    ]

    assert [answer.error for answer in answers] == [
        "FORBIDDEN",
        "NOT_FOUND",
        "NOT_FOUND",
        "NOT_FOUND",
        "PRECONDITION_FAILED",
        "LIMIT_REACHED",
    ]


def test_the_tag_that_was_seen_lets_an_upload_through(images: Images, uploads: Uploads, gig_id: str) -> None:
    answer = uploads.send(pieces(gig_id, "image/jpeg", a_picture()), if_match=images.gigs.etag(gig_id))

    assert answer.error == ""


def test_a_gig_that_is_deleted_meanwhile_gets_nothing(images: Images, uploads: Uploads, gig_id: str) -> None:
    def sending() -> Iterator[Any]:
        both = list(pieces(gig_id, "image/jpeg", a_picture(size=(64, 48)) + b"\0" * 50_000))
        yield both[0]
        eventually(lambda: list(images.upload_dir.iterdir()))
        images.gigs.call(gig_pb2.DeleteGigRequest(gig_id=gig_id))
        yield from both[1:]

    answer = uploads.send(sending())

    assert answer.error == "NOT_FOUND"
    assert images.files() == set()


def test_the_last_place_is_taken_once(images: Images, uploads: Uploads, gig_id: str) -> None:
    images.gigs.add_images(gig_id, 19)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: uploads.raw(gig_id), range(4)))

    assert sorted(answer.error for answer in answers) == ["", *["LIMIT_REACHED"] * 3]
    assert len(images.shown(gig_id)) == 20
    assert len(images.files()) == 2


def test_a_storage_that_fails_in_between_leaves_nothing(
    images: Images, uploads: Uploads, gig_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, puts = images.storage.put, []

    def failing(key: str, source: Path, media_type: str) -> None:
        puts.append(key)
        if len(puts) == 4:
            raise Unavailable
        put(key, source, media_type)

    monkeypatch.setattr(images.storage, "put", failing)

    with nothing_changes(images, gig_id):
        answer = uploads.form(gig_id, a_picture(), a_picture())

    assert answer.error == "UNAVAILABLE"
    assert len(puts) == 4


def test_a_commit_of_which_nobody_knows_keeps_the_files(
    images: Images, uploads: Uploads, gig_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction = images.store.transaction

    @contextmanager
    def committed_but_cut_off() -> Iterator[None]:
        with transaction():
            yield
        raise DatabaseAway

    monkeypatch.setattr(images.store, "transaction", committed_but_cut_off)
    answer = uploads.raw(gig_id)
    monkeypatch.undo()

    assert answer.error == "UNAVAILABLE"
    ((key, _),) = images.shown(gig_id)
    assert key in images.files()


def test_without_a_primary_an_upload_waits_and_stores_its_files_once(
    images: Images, uploads: Uploads, gig_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = {"get": 2, "transaction": 2}

    def lose(step: str) -> None:
        losses[step] -= 1
        if losses[step] >= 0:
            error = DatabaseAway()
            error.primary_away = True
            raise error

    get, transaction = images.store.gigs.get, images.store.transaction

    def get_later(gig_id: UUID) -> Gig:
        lose("get")
        return get(gig_id)

    @contextmanager
    def transaction_later() -> Iterator[None]:
        lose("transaction")
        with transaction():
            yield

    monkeypatch.setattr(images.store.gigs, "get", get_later)
    monkeypatch.setattr(images.store, "transaction", transaction_later)
    answer = uploads.raw(gig_id)
    monkeypatch.undo()

    assert answer.error == ""
    assert max(losses.values()) < 0
    assert len(images.shown(gig_id)) == 1
    assert len(images.files()) == 2


def test_a_client_that_goes_away_while_sending_changes_nothing(images: Images, uploads: Uploads, gig_id: str) -> None:
    with nothing_changes(images, gig_id):
        call = uploads.begin(endless(gig_id))
        eventually(lambda: list(images.upload_dir.glob("*/0")))
        call.cancel()
        eventually(lambda: not list(images.upload_dir.iterdir()))


def test_a_client_that_goes_away_while_its_picture_is_kept_leaves_files_and_rows_together(
    images: Images, uploads: Uploads, gig_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, reached, go_on = images.storage.put, threading.Event(), threading.Event()

    def waiting(key: str, source: Path, media_type: str) -> None:
        reached.set()
        assert go_on.wait(10)
        put(key, source, media_type)

    monkeypatch.setattr(images.storage, "put", waiting)

    call = uploads.begin(pieces(gig_id, "image/jpeg", a_picture()))
    assert reached.wait(20)
    call.cancel()
    time.sleep(0.2)
    go_on.set()

    eventually(lambda: not list(images.upload_dir.iterdir()))
    ((key, _),) = images.shown(gig_id)
    assert key in images.files()
    assert len(images.files()) == 2


def test_a_client_that_pauses_is_cut_off_and_changes_nothing(images: Images, gig_id: str) -> None:
    resumed = threading.Event()

    def pausing() -> Iterator[Any]:
        yield next(pieces(gig_id, "image/jpeg", a_picture()))
        resumed.wait(20)

    with images.serving(idle_seconds=0.3) as uploads, nothing_changes(images, gig_id):
        answer = uploads.send(pausing())
        resumed.set()

    assert answer.error == "DEADLINE_EXCEEDED"


def test_a_wait_for_a_decoder_is_not_a_pause_of_the_client(images: Images) -> None:
    # Three large pictures: the last one waits for two, longer than a client may pause. That is long enough for a client
    # on a busy machine, which must not pause by itself.
    slow = a_picture("PNG", size=(5000, 5000))
    gigs = [images.gigs.create() for _ in range(3)]

    with images.serving(idle_seconds=1) as uploads, ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda gig_id: uploads.raw(gig_id, slow), gigs))

    assert [answer.error for answer in answers] == ["", "", ""]


def test_a_user_has_a_few_uploads_at_once_and_others_have_theirs(images: Images, gig_id: str) -> None:
    another = images.gigs.create()

    with images.serving(uploads=3, per_user=2) as uploads:
        calls = [uploads.begin(endless(gig_id)) for _ in range(2)]
        eventually(lambda: len(list(images.upload_dir.iterdir())) == 2)
        refused = uploads.raw(another)
        stranger = uploads.send(pieces(gig_id, "image/jpeg", a_picture()), "somebody_else")
        for call in calls:
            call.cancel()
        eventually(lambda: not list(images.upload_dir.iterdir()))
        served = uploads.raw(another)

    assert (refused.error, stranger.error, served.error) == ("RATE_LIMITED", "FORBIDDEN", "")


def test_an_upload_has_its_place_before_its_first_byte(images: Images, gig_id: str) -> None:
    over = threading.Event()

    def silent() -> Iterator[Any]:
        over.wait(60)
        yield from pieces(gig_id, "image/jpeg", a_picture())

    with images.serving(per_user=1) as uploads:
        call = uploads.begin(silent())

        def has_the_place() -> bool:
            """Another upload of this check may have had it when the silent one came."""
            nonlocal call
            if uploads.raw(gig_id).error == "RATE_LIMITED":
                return True
            if call.done():
                call = uploads.begin(silent())
            return False

        eventually(has_the_place, every=0.2)
        over.set()

        assert len(call.result(20).images) == 1


def test_grpc_callers_are_told_with_the_canonical_code(uploads: Uploads, gig_id: str) -> None:
    assert uploads.raw(gig_id, BROKEN).code is grpc.StatusCode.INVALID_ARGUMENT


def test_keys_are_never_the_uploaders(images: Images, uploads: Uploads, gig_id: str) -> None:
    uploads.raw(gig_id)
    uploads.raw(gig_id)

    assert len(images.files()) == 4
    gig = images.store.gigs.get(UUID(gig_id))
    for key in images.files():
        assert gig.id.hex not in key
        assert gig.seller_id.hex not in key
