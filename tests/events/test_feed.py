"""The feed: one order, without gaps or repeats, whatever order transactions commit in; pages, long-polls, the data."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import psycopg2
import pytest

from marketplace.event.v1 import event_pb2, event_pb2_grpc
from marketplace.order.v1 import order_pb2
from order_service.convert.feed import ADMIN as ADMIN_CALLER
from order_service.convert.feed import to_data, to_json
from order_service.domain.order import Order
from order_service.payments.sandbox import scenarios
from servicekit.call import Caller
from tests.support.events import EventServer, event_settings
from tests.support.orderservice import ADMIN, BUYER, SELLER, OrderBackend
from tests.support.postgres import url_of
from tests.support.rpc import Answer


class Feed:
    """A client of ListEvents."""

    def __init__(self, server: EventServer) -> None:
        self.channel = server.channel()
        self._rpc = event_pb2_grpc.EventServiceStub(self.channel).ListEvents

    def ask(self, after: str = "", sent: str = ADMIN, seconds: float = 30, **fields: Any) -> Answer:
        request = event_pb2.ListEventsRequest(after=after, **fields)
        try:
            response = self._rpc(request, timeout=seconds, metadata=(("authorization", f"Bearer {sent}"),))
        except grpc.RpcError as error:
            trailers = {entry.key: entry.value for entry in error.trailing_metadata() or ()}
            return Answer(None, error.code(), error.details() or "", trailers)
        return Answer(response, grpc.StatusCode.OK, "")

    def page(self, after: str = "", **fields: Any) -> event_pb2.ListEventsResponse:
        response: event_pb2.ListEventsResponse = self.ask(after, **fields).response
        return response


@pytest.fixture
def feed(events: EventServer) -> Iterator[Feed]:
    client = Feed(events)
    yield client
    client.channel.close()


class Transaction:
    """A transaction that writes an event and stays open."""

    def __init__(self, world: OrderBackend, order_id: str) -> None:
        self._connection = psycopg2.connect(url_of(world.database))
        with self._connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject)
                SELECT gen_random_uuid(), at, 'order.disputed', order_id, version, buyer_id, seller_id, subject
                FROM events WHERE order_id = %s ORDER BY sequence LIMIT 1
                """,
                (order_id,),
            )

    def commit(self) -> None:
        self._connection.commit()
        self._connection.close()


def test_transactions_that_commit_in_another_order_than_they_write_leave_no_gap(
    world: OrderBackend, feed: Feed
) -> None:
    one, other = world.placed(), world.placed()
    start = feed.page("now").next
    earlier, later = Transaction(world, one), Transaction(world, other)

    later.commit()
    first = feed.page(start)
    between = feed.page(first.next)
    earlier.commit()
    second = feed.page(first.next)

    assert [event.order_id for event in first.results] == [other]
    assert (list(between.results), between.next) == ([], first.next)
    assert [event.order_id for event in second.results] == [one]
    everything = feed.page(start)
    assert list(everything.results) == [*first.results, *second.results]


def test_a_reader_beside_many_writers_misses_none_and_gets_none_twice(world: OrderBackend, feed: Feed) -> None:
    """Writers commit after a random time, in any order, while a reader polls."""
    order_id = world.placed()
    after, done = feed.page("now").next, threading.Event()
    read: list[str] = []

    def write(number: int) -> None:
        transaction = Transaction(world, order_id)
        time.sleep((number * 7919 % 50) / 500)
        transaction.commit()

    def poll(after: str) -> None:
        while True:
            is_last = done.is_set()
            page = feed.page(after, page_size=7)
            read.extend(event.id for event in page.results)
            after = page.next
            if is_last and not page.results:
                return

    with ThreadPoolExecutor(9) as pool:
        reader = pool.submit(poll, after)
        list(pool.map(write, range(150), chunksize=1))
        done.set()
        reader.result()

    assert len(read) == 150
    assert len(set(read)) == 150
    assert read == [event.id for event in all_events(feed, after)]


def all_events(feed: Feed, after: str) -> list[Any]:
    events: list[Any] = []
    while (page := feed.page(after, page_size=100)).results:
        events += page.results
        after = page.next
    return events


def test_two_processes_may_number_at_once(world: OrderBackend, feed: Feed) -> None:
    order_id = world.placed()
    with EventServer(world.database) as other:
        second = Feed(other)
        for _ in range(40):
            Transaction(world, order_id).commit()
        read = [[event.id for event in all_events(each, "")] for each in (feed, second)]
        second.channel.close()

    assert read[0] == read[1]
    assert len(read[0]) == 41


def test_pages_follow_each_other_and_the_last_one_is_empty(world: OrderBackend, feed: Feed) -> None:
    orders = [world.placed() for _ in range(3)]

    first = feed.page(page_size=2)
    second = feed.page(first.next, page_size=2)
    third = feed.page(second.next, page_size=2)

    assert [event.order_id for event in [*first.results, *second.results]] == orders
    assert (list(third.results), third.next) == ([], second.next)


def test_now_is_after_everything_that_was_committed(world: OrderBackend, feed: Feed) -> None:
    world.placed()
    now = feed.page("now")
    assert list(now.results) == []

    order_id = world.placed()

    assert [event.order_id for event in feed.page(now.next).results] == [order_id]


def test_an_empty_feed_has_a_next(feed: Feed) -> None:
    assert [feed.page(after).next for after in ("", "now", "0")] == ["0", "0", "0"]


@pytest.mark.parametrize("after", ["2", "-1", "01", "x", "NOW", "9" * 30])
def test_an_after_that_was_never_a_next_is_refused_by_name(world: OrderBackend, feed: Feed, after: str) -> None:
    world.placed()

    refused = feed.ask(after)

    assert refused.error == "INVALID_ARGUMENT"
    assert [each["field"] for each in refused.body["details"]] == ["after"]


@pytest.mark.parametrize("sent", [BUYER, SELLER])
def test_the_feed_is_for_admins(feed: Feed, sent: str) -> None:
    assert feed.ask(sent=sent).error == "FORBIDDEN"


def test_a_long_poll_is_answered_with_the_first_event_at_once(world: OrderBackend, feed: Feed) -> None:
    after = feed.page("now").next
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(feed.page, after, wait=25)
        time.sleep(0.5)
        assert not poll.done()

        order_id = world.placed()

        placed_at = time.monotonic()
        page = poll.result(10)
        waited = time.monotonic() - placed_at
    assert [event.order_id for event in page.results] == [order_id]
    # The poll of the follower alone would take up to a second.
    assert waited < 0.5


def test_a_long_poll_without_an_event_ends_in_time_and_before_the_callers_deadline(feed: Feed) -> None:
    began = time.monotonic()
    waited = feed.page("now", wait=1)
    hurried = feed.ask("now", wait=30, seconds=1.5)
    took = time.monotonic() - began

    assert (list(waited.results), waited.next) == ([], "0")
    assert hurried.code is grpc.StatusCode.OK
    assert 2 < took < 5


def test_an_event_has_the_order_as_get_order_answered_it_to_an_admin_then(world: OrderBackend, feed: Feed) -> None:
    order_id, then = world.placed(), []
    for action, sent in (("", ""), ("accept", SELLER), ("deliver", SELLER), ("dispute", BUYER)):
        if action:
            world.act(action, order_id, sent, "No good")
        then.append(to_json(world.get(order_id, ADMIN).response.order))
    world.resolve(order_id, "COMPLETED", 20.5)

    events = feed.page().results

    assert [event.type for event in events] == [
        "order.placed",
        "order.accepted",
        "order.delivered",
        "order.disputed",
        "order.resolved",
    ]
    assert [to_json(event)["data"] for event in events[:4]] == then
    assert {event.order_id for event in events} == {order_id}
    assert not any(event.HasField("payout_id") for event in events)


def test_buyers_and_sellers_see_their_own_actions_and_a_buyer_no_chargeback(world: OrderBackend) -> None:
    order_id = world.accepted(card=scenarios.CHARGEBACK)
    world.settle()
    assert world.status(order_id) == "DISPUTED"
    reader = world.store.feed_reader
    reader.number()
    last = reader.page(0, 100)[-1].event
    assert isinstance(last.subject, Order)
    timeouts = event_settings().timeouts

    viewers = {"admin": ADMIN_CALLER, "buyer": Caller(last.subject.buyer_id), "seller": Caller(last.subject.seller_id)}
    seen = {name: to_data(last, viewer, timeouts) for name, viewer in viewers.items()}

    assert seen["admin"] == to_json(world.get(order_id, ADMIN).response.order)
    assert seen["seller"] == to_json(world.get(order_id, SELLER).response.order)
    assert seen["buyer"] == to_json(world.get(order_id, BUYER).response.order)
    assert "chargeback" in seen["seller"]
    assert "chargeback" not in seen["buyer"]


def test_a_payouts_outcome_is_an_event_with_the_payout(world: OrderBackend, feed: Feed) -> None:
    order_id = world.delivered()
    world.act("complete", order_id, BUYER)
    payout_id = world.rpc.call("RequestPayout", order_pb2.RequestPayoutRequest(), SELLER).response.payout_id
    world.deliver_outbox()

    event = feed.page().results[-1]

    assert (event.type, event.payout_id, event.HasField("order_id")) == ("payout.paid", payout_id, False)
    got = world.rpc.call("GetPayout", order_pb2.GetPayoutRequest(payout_id=payout_id), ADMIN).response.payout
    assert to_json(event)["data"] == to_json(got)
