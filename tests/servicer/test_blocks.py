"""Blocks: who cannot write to whom, and order from whom, and what goes on all the same."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID

from servicekit.database import Database
from tests.support import talks
from tests.support.at_once import closing
from tests.support.identity import token, user_id
from tests.support.locks import wait_for_a_lock_waiter
from tests.support.orderservice import BUYER, GIG, SELLER, STRANGER, OrderBackend


def test_blocks_are_made_listed_and_ended(world: OrderBackend) -> None:
    first = talks.block(world).response.block
    world.clock.travel(timedelta(hours=1))
    others = [talks.block(world, f"user_{number}").response.block for number in range(3)]

    assert first.user_id == str(user_id("happy_buyer"))
    assert talks.block(world).response.block == first
    page = talks.blocks(world, page_size=3).response
    rest = talks.blocks(world, page_size=3, page_token=page.next_page_token).response
    assert [*page.results, *rest.results] == [*reversed(others), first]
    assert (bool(page.next_page_token), bool(rest.next_page_token)) == (True, False)
    assert talks.blocks(world, BUYER).response.results == []
    assert [talks.unblock(world).error for _ in range(2)] == ["", ""]
    assert first not in talks.blocks(world).response.results
    assert len(talks.blocks(world).response.results) == 3


def test_nobody_blocks_oneself(world: OrderBackend) -> None:
    answer = talks.block(world, "webdev_pro")

    assert (answer.error, answer.body["details"][0]["field"]) == ("INVALID_ARGUMENT", "userId")
    assert talks.unblock(world, "webdev_pro").error == ""


def test_the_blocked_cannot_write_and_who_blocks_must_end_that_first(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    talks.block(world)

    assert [talks.send(world, conversation_id).error, talks.start(world).error] == ["FORBIDDEN"] * 2
    assert talks.send(world, conversation_id, sent_token=SELLER).error == "CONFLICT"
    talks.block(world, "webdev_pro", BUYER)
    # Each is blocked, which comes first.
    assert talks.send(world, conversation_id, sent_token=SELLER).error == "FORBIDDEN"
    talks.unblock(world)
    talks.unblock(world, "webdev_pro", BUYER)
    assert not talks.send(world, conversation_id).error
    assert not talks.send(world, conversation_id, sent_token=SELLER).error


def test_reading_goes_on_for_both_sides(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    own = talks.sent(world, conversation_id, sent_token=SELLER)
    talks.block(world)

    for caller in (BUYER, SELLER):
        assert len(talks.messages(world, conversation_id, caller).response.results) == 2
        assert len(talks.listed(world, caller).response.results) == 1
        assert not talks.mark(world, conversation_id, own, caller).error


def test_a_block_stops_first_conversations_too(world: OrderBackend) -> None:
    talks.offer_gig(world)
    talks.block(world)

    assert talks.start(world).error == "FORBIDDEN"
    assert not talks.start(world, sent_token=STRANGER).error


def test_404_comes_before_a_block(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    talks.block(world)

    assert talks.start(world, gig_id="00000000-0000-4000-8000-000000000000").error == "NOT_FOUND"
    assert talks.send(world, conversation_id, order_id=GIG).error == "NOT_FOUND"
    assert talks.send(world, conversation_id, file_ids=[GIG]).error == "NOT_FOUND"
    assert talks.send(world, GIG).error == "NOT_FOUND"


def test_orders_are_refused_before_the_card_and_those_under_way_go_on(world: OrderBackend) -> None:
    order_id = world.placed()
    talks.block(world)

    refused = world.place(payment_token="sandbox_decline")
    assert (refused.error, len(world.sandbox_payments())) == ("FORBIDDEN", 1)
    assert world.place(package_id=GIG).error == "NOT_FOUND"
    for action, caller in (("accept", SELLER), ("deliver", SELLER), ("complete", BUYER)):
        assert world.act(action, order_id, caller).error == ""
    talks.unblock(world)
    talks.block(world, "webdev_pro", BUYER)
    assert (world.place().error, len(world.sandbox_payments())) == ("CONFLICT", 1)
    assert world.place(token("another_buyer", "buyer")).error == ""


def test_an_order_that_was_begun_before_the_block_is_finished(world: OrderBackend) -> None:
    assert world.place(key="k", payment_token="sandbox_confirm").error == "PAYMENT_ACTION_REQUIRED"
    talks.block(world)
    world.travel(timedelta(seconds=5))

    assert world.place(key="k", payment_token="sandbox_confirm").error == ""


def test_a_block_waits_for_a_message_that_is_being_written(world: OrderBackend, order_database: Database) -> None:
    conversation_id = talks.started(world)
    answers = []
    blocking = threading.Thread(target=closing(order_database, lambda: answers.append(talks.block(world).error)))

    with order_database.transaction():
        conversation = world.store.conversations.lock(UUID(conversation_id))
        blocking.start()
        wait_for_a_lock_waiter(order_database)
        world.store.messages.add(conversation, user_id("happy_buyer"), "Just in time")
        assert answers == []
    blocking.join(10)

    assert answers == [""]
    assert talks.send(world, conversation_id).error == "FORBIDDEN"
    assert talks.texts(world, conversation_id) == ["Just in time", "Hello"]
