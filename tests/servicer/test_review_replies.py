"""Replies to reviews: ReviewService's RPC in its pipeline, with a real PostgreSQL, and OrderService over real gRPC."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.at_once import closing
from tests.support.identity import token, user_id
from tests.support.reviewservice import BUYER, GIG, SELLER, World, a_world
from tests.support.standins import OrderStandIn, serving


@pytest.fixture
def world(review_database: Database) -> Iterator[World]:
    with a_world(review_database) as world:
        yield world


def test_a_reply_answers_the_whole_review(world: World) -> None:
    order_id = world.order()
    review_id = world.submit(order_id, rating=4).response.review_id

    review = world.reply(review_id, "Thank you!").response.review

    assert (review.id, review.order_id, review.rating) == (review_id, order_id, 4)
    assert (review.buyer.username, review.comment) == ("happy_buyer", "Excellent work! Delivered early.")
    assert review.reply.text == "Thank you!"
    assert review.reply.at.ToNanoseconds() >= review.created_at.ToNanoseconds() > 0
    assert list(world.page().response.results) == [review]


def test_a_review_without_a_reply_has_none_in_the_list(world: World) -> None:
    world.submit(world.order())

    assert not world.page().response.results[0].HasField("reply")


def test_a_second_reply_is_refused_and_changes_nothing(world: World) -> None:
    review_id = world.submit(world.order()).response.review_id
    first = world.reply(review_id, "Thank you!").response.review

    answer = world.reply(review_id, "Thank you again!")

    assert (answer.http_status, answer.body["code"]) == (409, "ALREADY_REPLIED")
    assert list(world.page().response.results) == [first]


def test_of_ten_replies_at_the_same_moment_exactly_one_wins(world: World, review_database: Database) -> None:
    review_id = world.submit(world.order()).response.review_id
    barrier = threading.Barrier(10)

    def wait_for_all() -> None:
        barrier.wait(20)

    # Each has read the review without a reply before any of them writes one.
    world.orders.on_describe = wait_for_all
    workers = [world.twin() for _ in range(10)]

    with ThreadPoolExecutor(10) as pool:
        calls = [
            pool.submit(closing(review_database, partial(one.reply, review_id, f"reply {number}")))
            for number, one in enumerate(workers)
        ]
        answers = [call.result(30) for call in calls]

    errors = [answer.error for answer in answers]
    assert sorted(errors) == ["", *["ALREADY_REPLIED"] * 9]
    assert world.page().response.results[0].reply.text == f"reply {errors.index('')}"


@pytest.mark.parametrize(
    "sent_token", [BUYER, token("somebody", "seller"), token("root", "admin")], ids=["buyer", "other seller", "admin"]
)
@pytest.mark.parametrize("has_reply", [False, True])
def test_nobody_but_the_seller_replies(world: World, sent_token: str, has_reply: bool) -> None:
    review_id = world.submit(world.order()).response.review_id
    if has_reply:
        world.reply(review_id)
    before = world.page().response

    answer = world.reply(review_id, "Not mine", sent_token)

    assert answer.http_status == 403
    assert answer.body == {"error": "You don't have permission to reply to this review", "code": "FORBIDDEN"}
    assert world.page().response == before


def test_a_look_alike_of_the_seller_cannot_reply(world: World) -> None:
    review_id = world.submit(world.order()).response.review_id

    assert world.reply(review_id, sent_token=token("webdev_pro", "seller", sub=str(new_id()))).error == "FORBIDDEN"


def test_replying_needs_a_token(world: World) -> None:
    review_id = world.submit(world.order()).response.review_id

    assert world.reply(review_id, sent_token=None).error == "UNAUTHORIZED"


def test_a_reply_to_an_unknown_review_is_not_found(world: World) -> None:
    for review_id in (str(new_id()), "nonsense"):
        assert world.reply(review_id).body == {"error": "Review not found", "code": "NOT_FOUND"}


@pytest.mark.parametrize("status", [gig_pb2.Gig.PAUSED, gig_pb2.Gig.SUSPENDED, None])
def test_the_seller_replies_to_a_review_of_a_gig_that_is_taken_down_or_deleted(
    world: World, status: gig_pb2.Gig.Status.ValueType | None
) -> None:
    review_id = world.submit(world.order()).response.review_id
    if status is None:
        del world.gigs.gigs[str(GIG)]
    else:
        world.gigs.knows(GIG, user_id("webdev_pro"), status)

    assert world.reply(review_id).response.review.reply.text == "Thank you!"


@pytest.mark.parametrize("status", ["COMPLETED", "DISPUTED", "CANCELLED"])
def test_the_seller_replies_whatever_has_become_of_the_order(world: World, status: str) -> None:
    order_id = world.order()
    review_id = world.submit(order_id).response.review_id
    world.order(status, order_id=order_id)

    assert world.reply(review_id).error == ""


@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b", "x" * 2001])
def test_a_reply_has_one_to_two_thousand_characters_that_show(world: World, text: str) -> None:
    review_id = world.submit(world.order()).response.review_id

    answer = world.reply(review_id, text)

    assert answer.http_status == 400
    assert [detail["field"] for detail in answer.body["details"]] == ["text"]
    assert world.reply(review_id, "x" * 2000).error == ""


def test_a_reply_is_stored_in_its_normal_form(world: World) -> None:
    review_id = world.submit(world.order()).response.review_id

    assert world.reply(review_id, "  Cafe\u0301\r\nopen ").response.review.reply.text == "Caf\u00e9\nopen"


def test_no_transaction_is_open_while_order_service_is_asked_for_the_seller(
    world: World, review_database: Database
) -> None:
    review_id = world.submit(world.order()).response.review_id
    open_transactions: list[int] = []
    world.orders.on_describe = closing(review_database, lambda: open_transactions.append(world.open_transactions()))

    assert world.reply(review_id).error == ""
    assert open_transactions == [0]


def test_without_order_service_replying_is_unavailable(review_database: Database) -> None:
    with a_world(review_database) as world:
        review_id = world.submit(world.order()).response.review_id
    with serving(OrderStandIn()) as address:
        alone = World(review_database, address, address)

    assert alone.reply(review_id, sent_token=SELLER).http_status == 503
