"""ReviewService's RPCs in their pipeline, with a real PostgreSQL, and the other services over real gRPC."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

import pytest

from marketplace.gig.v1 import gig_pb2
from marketplace.order.v1 import order_pb2
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.at_once import closing
from tests.support.eventually import eventually
from tests.support.identity import token, user_id
from tests.support.reviewservice import BUYER, GIG, SELLER, World, a_world
from tests.support.standins import GigStandIn, OrderStandIn, serving


@pytest.fixture
def world(review_database: Database) -> Iterator[World]:
    with a_world(review_database) as world:
        yield world


def test_submitting_a_review_answers_what_the_seed_shows(world: World) -> None:
    answer = world.submit(world.order())

    assert UUID(answer.response.review_id).version == 7
    assert (answer.response.gig_id, answer.response.new_average_rating) == (str(GIG), 5.0)
    assert "location" not in answer.headers


def test_the_new_average_counts_every_review_of_the_gig_and_is_rounded_half_up(world: World) -> None:
    means = [world.submit(world.order(), rating=stars).response.new_average_rating for stars in (5, 4, 4, 4)]

    assert means == [5.0, 4.5, 4.3, 4.3]


def test_an_unknown_order_is_not_found(world: World) -> None:
    for order_id in (str(new_id()), "nonsense"):
        assert world.submit(order_id).body == {"error": "Order not found", "code": "NOT_FOUND"}


@pytest.mark.parametrize("status", ["PENDING", "COMPLETED"])
def test_only_the_orders_buyer_reviews_it(world: World, status: str) -> None:
    answer = world.submit(world.order(status), token("somebody", "buyer"))

    assert answer.http_status == 403
    assert answer.body == {"error": "You don't have permission to review this order", "code": "FORBIDDEN"}


@pytest.mark.parametrize(("sent_token", "error"), [(None, "UNAUTHORIZED"), (SELLER, "FORBIDDEN")])
def test_only_buyers_review(world: World, sent_token: str | None, error: str) -> None:
    assert world.submit(world.order(), sent_token).error == error


@pytest.mark.parametrize("status", ["PENDING", "IN_PROGRESS", "CANCELLED", "DISPUTED"])
def test_an_order_that_is_not_delivered_cannot_be_reviewed(world: World, status: str) -> None:
    answer = world.submit(world.order(status))

    assert (answer.http_status, answer.body["code"]) == (409, "ORDER_NOT_DELIVERED")


def test_a_second_review_of_an_order_is_refused(world: World) -> None:
    order_id = world.order("COMPLETED")
    world.submit(order_id)

    answer = world.submit(order_id.upper(), rating=1)

    assert (answer.http_status, answer.body["code"]) == (409, "ALREADY_REVIEWED")
    assert world.page().response.total == 1


def test_an_order_of_a_deleted_gig_can_be_reviewed(world: World) -> None:
    gone = new_id()

    answer = world.submit(world.order(gig_id=gone))

    assert answer.response.gig_id == str(gone)
    assert world.gigs.asked == []


def test_every_field_of_a_bad_review_is_named(world: World) -> None:
    answer = world.submit(world.order(), rating=6, comment="x" * 2001)

    assert answer.http_status == 400
    assert {detail["field"] for detail in answer.body["details"]} == {"rating", "comment"}


def test_a_review_without_a_rating_is_refused_and_one_without_a_comment_is_not(world: World) -> None:
    assert world.submit(world.order(), rating=0).error == "INVALID_ARGUMENT"
    assert world.submit(world.order(), comment="").error == ""


@pytest.mark.parametrize("key", [None, "k"])
def test_no_transaction_is_open_while_order_service_is_asked(
    world: World, review_database: Database, key: str | None
) -> None:
    open_transactions: list[int] = []

    world.orders.on_describe = closing(review_database, lambda: open_transactions.append(world.open_transactions()))

    assert world.submit(world.order(), key=key).error == ""
    assert open_transactions == [0]


def test_a_repeated_key_gets_the_first_response_and_stores_one_review(world: World) -> None:
    order_id = world.order()
    first = world.submit(order_id, key="k")

    second = world.submit(order_id, key="k")

    assert (first.error, second.error) == ("", "")
    assert second.response == first.response
    assert world.submit(order_id, key="k", rating=1).error == "IDEMPOTENCY_KEY_REUSED"
    assert world.submit(order_id, key="other").error == "ALREADY_REVIEWED"
    assert world.page().response.total == 1


def test_ten_calls_with_one_key_at_once_store_one_review_and_all_get_its_response(
    world: World, review_database: Database
) -> None:
    order_id = world.order()
    barrier = threading.Barrier(10)

    def wait_for_all() -> None:
        barrier.wait(20)

    # Each has looked the key up before any of them binds it.
    world.orders.on_describe = wait_for_all
    workers = [world.twin() for _ in range(10)]

    with ThreadPoolExecutor(10) as pool:
        calls = [pool.submit(closing(review_database, partial(one.submit, order_id, key="k"))) for one in workers]
        answers = [call.result(30) for call in calls]

    assert {answer.error for answer in answers} == {""}
    assert len({answer.response.review_id for answer in answers}) == 1
    assert world.page().response.total == 1


def test_a_refused_review_leaves_its_key_free(world: World) -> None:
    order_id = world.order("IN_PROGRESS")
    assert world.submit(order_id, key="k").error == "ORDER_NOT_DELIVERED"

    world.orders.orders[order_id].status = order_pb2.Order.DELIVERED

    assert world.submit(order_id, key="k").error == ""


def test_without_order_service_submitting_is_unavailable(review_database: Database) -> None:
    with serving(OrderStandIn()) as address:
        world = World(review_database, address, address)

    assert world.submit(world.order()).http_status == 503


def test_a_row_of_the_list_is_as_the_contract_shows_it(world: World) -> None:
    order_id = world.order()
    submitted = world.submit(order_id, rating=4).response

    (review,) = world.page().response.results

    assert (review.id, review.order_id, review.rating) == (submitted.review_id, order_id, 4)
    assert (review.buyer.id, review.buyer.username) == (str(user_id("happy_buyer")), "happy_buyer")
    assert review.comment == "Excellent work! Delivered early."
    assert review.created_at.seconds
    assert review.created_at.nanos == 0


def test_a_list_has_the_rating_of_all_reviews(world: World) -> None:
    for stars in (5, 5, 4, 3):
        world.submit(world.order(), rating=stars)

    listed = world.page(page_size=1).response

    assert (len(listed.results), listed.total, listed.average_rating) == (1, 4, 4.3)
    assert dict(listed.histogram) == {1: 0, 2: 0, 3: 1, 4: 1, 5: 2}


def test_a_gig_without_reviews_has_an_empty_list_with_every_star(world: World) -> None:
    listed = world.page().response

    assert (list(listed.results), listed.total, listed.average_rating) == ([], 0, 0)
    assert dict(listed.histogram) == {1: 0, 2: 0, 3: 0, 4: 0, 5: 0}
    assert not listed.HasField("next_page_token")


def test_pages_go_on_where_the_last_one_ended(world: World) -> None:
    submitted = [world.submit(world.order()).response.review_id for _ in range(5)]
    seen: list[str] = []
    page_token = ""

    for size in (2, 2, 1):
        page = world.page(page_size=2, page_token=page_token).response
        assert len(page.results) == size
        seen += [review.id for review in page.results]
        page_token = page.next_page_token

    assert seen == submitted[::-1]
    assert not page.HasField("next_page_token")


def test_a_page_token_goes_with_its_gig(world: World) -> None:
    for _ in range(2):
        world.submit(world.order())
    page_token = world.page(page_size=1).response.next_page_token
    other = new_id()
    world.gigs.knows(other, user_id("webdev_pro"))

    for answer in (world.page(gig_id=other, page_token=page_token), world.page(page_token="nonsense")):
        assert [detail["field"] for detail in answer.body["details"]] == ["pageToken"]


@pytest.mark.parametrize("status", [gig_pb2.Gig.PAUSED, gig_pb2.Gig.SUSPENDED])
def test_the_reviews_of_a_gig_that_is_not_active_are_for_its_owner_and_admins(
    world: World, status: gig_pb2.Gig.Status.ValueType
) -> None:
    world.submit(world.order())
    world.gigs.knows(GIG, user_id("webdev_pro"), status)

    assert world.page(SELLER).response.total == world.page(token("root", "admin")).response.total == 1
    for other in (None, BUYER, token("somebody", "seller")):
        assert world.page(other).body == {"error": "Gig not found", "code": "NOT_FOUND"}


def test_the_reviews_of_an_unknown_or_deleted_gig_are_not_found(world: World) -> None:
    for gig_id in (str(new_id()), "nonsense"):
        assert world.page(SELLER, gig_id=gig_id).body == {"error": "Gig not found", "code": "NOT_FOUND"}


def test_gig_service_receives_the_rating_of_all_reviews(world: World) -> None:
    world.relay.start()

    world.submit(world.order(), rating=5)
    eventually(lambda: world.gigs.ratings)
    world.submit(world.order(), rating=2)
    eventually(lambda: len(world.gigs.ratings) == 2)
    world.relay.stop()

    ratings = [(r.gig_id, r.version, r.review_count, r.rating_sum) for r in world.gigs.ratings]
    assert ratings == [(str(GIG), 1, 1, 5), (str(GIG), 2, 2, 7)]


def test_gig_service_receives_every_review_for_its_sellers_badges(world: World) -> None:
    world.relay.start()

    for stars in (5, 2):
        world.submit(world.order(), rating=stars)
    eventually(lambda: len(world.gigs.reviews) == 2)
    world.relay.stop()

    listed = world.page(SELLER).response.results
    sent = sorted(world.gigs.reviews, key=lambda review: (review.created_at.ToNanoseconds(), review.review_id))
    assert [review.review_id for review in sent] == [review.id for review in reversed(listed)]
    assert [review.rating for review in sent] == [5, 2]
    assert {(review.gig_id, review.buyer_id) for review in sent} == {(str(GIG), str(user_id("happy_buyer")))}


def test_a_rating_reaches_gig_service_promptly_after_it_was_down(review_database: Database) -> None:
    orders, gigs = OrderStandIn(), GigStandIn()
    with serving(orders) as order_address:
        with serving(gigs) as gig_address:
            world = World(review_database, gig_address, order_address)
        world.orders = orders
        world.relay.start()
        for stars in (5, 4, 3):
            assert world.submit(world.order(), rating=stars).error == ""
        time.sleep(2.5)
        assert gigs.ratings == []

        with serving(gigs, gig_address):
            eventually(lambda: gigs.ratings)
            world.relay.stop()

    (rating,) = gigs.ratings
    assert (rating.version, rating.review_count, rating.rating_sum) == (3, 3, 12)
