"""Gig pages that a worker keeps ready: each read gets the current page, whoever changes it and whenever."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from gig_service.domain.gig import PageState
from gig_service.ready_pages import OVERHEAD_BYTES, ReadyPage, ReadyPages
from gig_service.servicer import GigServicer
from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database, Statement
from tests.support.gigs import MEDIA_URL, READY_BYTES, SERVICE, Gigs, an_update
from tests.support.rpc import Answer, Rpc

RENAME = Statement("UPDATE sellers SET username = $2, version = version + 1 WHERE id = $1")
STATE = PageState("1", "2")
PACKAGE: dict[str, Any] = {"title": "Premium Website", "price": 900, "delivery_days": 7, "features": ["CMS"]}


class Reader:
    """A worker that reads, beside the one that `Gigs` is."""

    def __init__(self, gigs: Gigs, ready_pages: ReadyPages) -> None:
        self._rpc = Rpc(GigServicer(gigs.store, MEDIA_URL, ready_pages), SERVICE)

    def get(self, gig_id: str) -> Answer:
        return self._rpc.call("GetGig", gig_pb2.GetGigRequest(gig_id=gig_id))


@pytest.fixture
def gigs(gig_database: Database) -> Gigs:
    return Gigs(gig_database)


@pytest.fixture
def reader(gigs: Gigs) -> Reader:
    return Reader(gigs, ReadyPages(READY_BYTES))


def do(gigs: Gigs, request: object) -> None:
    answer = gigs.call(request)
    assert not answer.error, answer.message


def first_package(gigs: Gigs, gig_id: str) -> str:
    return gigs.page(gig_id).packages[0].id


def last_image(gigs: Gigs, gig_id: str) -> str:
    return gigs.page(gig_id).images[-1].id


def badge(gigs: Gigs, gig_id: str) -> None:
    for buyer in ("bert", "bea", "bob"):
        gigs.review(gig_id, buyer, 5)


CHANGES: dict[str, Callable[[Gigs, str], object]] = {
    "details": lambda gigs, gig: do(gigs, an_update(gig)),
    "package added": lambda gigs, gig: do(gigs, gig_pb2.AddPackageRequest(gig_id=gig, **PACKAGE)),
    "package changed": lambda gigs, gig: do(
        gigs, gig_pb2.UpdatePackageRequest(gig_id=gig, package_id=first_package(gigs, gig), **PACKAGE)
    ),
    "package removed": lambda gigs, gig: do(
        gigs, gig_pb2.DeletePackageRequest(gig_id=gig, package_id=first_package(gigs, gig))
    ),
    "image added": lambda gigs, gig: gigs.add_images(gig),
    "other primary image": lambda gigs, gig: do(
        gigs, gig_pb2.UpdateImageRequest(gig_id=gig, image_id=last_image(gigs, gig), is_primary=True)
    ),
    "image removed": lambda gigs, gig: do(gigs, gig_pb2.DeleteImageRequest(gig_id=gig, image_id=last_image(gigs, gig))),
    "rating": lambda gigs, gig: gigs.rate(gig, 5, 4),
    "badge of the seller": badge,
    "name of the seller": lambda gigs, gig: gigs.store.sellers.remember(
        UUID(gigs.page(gig).seller.id), "webdev_professional"
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_ready_page_is_not_sent_after_a_change_by_another_worker(
    gigs: Gigs, reader: Reader, change: Callable[[Gigs, str], object]
) -> None:
    gig_id = gigs.create()
    do(gigs, gig_pb2.AddPackageRequest(gig_id=gig_id, **PACKAGE))
    gigs.add_images(gig_id, 2)
    before = [reader.get(gig_id) for _ in range(2)]

    change(gigs, gig_id)
    after = [reader.get(gig_id) for _ in range(2)]

    made_now = Reader(gigs, ReadyPages(0)).get(gig_id)
    assert before[0].response == before[1].response != made_now.response
    assert [each.response for each in after] == [made_now.response] * 2
    assert before[0].headers["etag"] == before[1].headers["etag"] != made_now.headers["etag"]
    assert [each.headers for each in after] == [made_now.headers] * 2


def test_a_change_of_the_row_by_hand_shows_too(gigs: Gigs, reader: Reader, gig_database: Database) -> None:
    gig_id = gigs.create()
    for _ in range(2):
        reader.get(gig_id)

    gig_database.execute("UPDATE gigs SET review_count = 9")

    assert reader.get(gig_id).response.gig.review_count == 9


def test_a_ready_page_is_sent_without_being_read_again(gigs: Gigs, gig_database: Database) -> None:
    ready_pages = ReadyPages(READY_BYTES)
    reader = Reader(gigs, ready_pages)
    gig_id = gigs.create()
    read = reader.get(gig_id)
    page = ready_pages.find(gig_id)
    assert page is not None
    other = gig_pb2.GetGigResponse(gig=gig_pb2.Gig(id=gig_id, title="Kept in memory"))
    ready_pages.keep(gig_id, page._replace(response=other.SerializeToString()))

    again = reader.get(gig_id)

    assert again.response == other
    assert again.headers == read.headers


def test_a_page_that_was_read_before_a_change_and_kept_after_it_is_not_sent(gigs: Gigs) -> None:
    class LateReadyPages(ReadyPages):
        """Between a read and its keeping, somebody changes the gig; once."""

        is_changed = False

        def keep(self, gig_id: str, page: ReadyPage) -> None:
            if not self.is_changed:
                self.is_changed = True
                do(gigs, an_update(gig_id, title="Changed"))
            super().keep(gig_id, page)

    reader = Reader(gigs, LateReadyPages(READY_BYTES))
    gig_id = gigs.create()

    slow, next_read = reader.get(gig_id), reader.get(gig_id)

    assert slow.response.gig.title == "Professional Website Development"
    assert next_read.response.gig.title == "Changed"
    assert next_read.headers["etag"] == gigs.etag(gig_id)


def test_a_change_shows_when_it_is_committed_and_not_before(gigs: Gigs, reader: Reader, gig_database: Database) -> None:
    gig_id = gigs.create()
    seller_id = gigs.page(gig_id).seller.id
    for _ in range(2):
        reader.get(gig_id)

    with ThreadPoolExecutor(1) as other_connection, gig_database.transaction():
        gig_database.fetch_all(RENAME, UUID(seller_id), "renamed")
        during = [other_connection.submit(reader.get, gig_id).result() for _ in range(2)]
    after = reader.get(gig_id)

    assert {each.response.gig.seller.username for each in during} == {"webdev_pro"}
    assert after.response.gig.seller.username == "renamed"


@pytest.mark.parametrize("status", ["PAUSED", "SUSPENDED"])
def test_a_ready_page_is_not_sent_to_strangers_once_the_gig_is_hidden(gigs: Gigs, status: str) -> None:
    gig_id = gigs.create()
    for _ in range(2):
        gigs.get(gig_id)

    gigs.set_status(gig_id, status, "root", "admin")

    assert gigs.get(gig_id, "webdev_pro").response.gig.status == gig_pb2.Gig.Status.Value(status)
    assert gigs.get(gig_id).error == "NOT_FOUND"
    assert gigs.get(gig_id, "someone_else", "buyer").error == "NOT_FOUND"


def test_a_ready_page_is_not_sent_once_the_gig_is_deleted(gigs: Gigs) -> None:
    gig_id = gigs.create()
    for _ in range(2):
        gigs.get(gig_id)

    do(gigs, gig_pb2.DeleteGigRequest(gig_id=gig_id))

    assert gigs.get(gig_id).error == "NOT_FOUND"


def test_the_pages_that_were_read_longest_ago_make_room_for_others() -> None:
    page = ReadyPage(STATE, '"1-0-1"', b"x" * 100)
    ready_pages = ReadyPages(3 * (100 + OVERHEAD_BYTES))
    for gig_id in ("a", "b", "c"):
        ready_pages.keep(gig_id, page)
    ready_pages.find("a")

    ready_pages.keep("d", page)

    assert [gig_id for gig_id in "abcd" if ready_pages.find(gig_id)] == ["a", "c", "d"]


def test_a_page_that_is_kept_anew_takes_its_place_once() -> None:
    page = ReadyPage(STATE, '"1-0-1"', b"x" * 100)
    ready_pages = ReadyPages(2 * (100 + OVERHEAD_BYTES))

    for _ in range(5):
        ready_pages.keep("a", page)
    ready_pages.keep("b", page)

    assert [gig_id for gig_id in "ab" if ready_pages.find(gig_id)] == ["a", "b"]


def test_a_page_larger_than_all_room_is_not_kept() -> None:
    ready_pages = ReadyPages(OVERHEAD_BYTES)

    ready_pages.keep("a", ReadyPage(STATE, '"1-0-1"', b"x"))

    assert ready_pages.find("a") is None
