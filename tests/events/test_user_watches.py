"""Watches of all that is new for a user: what they send, to whom, from where, and how clients resume."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from marketplace.event.v1 import event_pb2
from order_service.events.watches import Opening, ResumeId, UserWatch
from tests.events.conftest import Watch
from tests.support.events import EventServer, last_id
from tests.support.eventually import eventually
from tests.support.orderservice import ADMIN, BUYER, SELLER, STRANGER, OrderBackend

SSE = event_pb2.WatchSseRequest()
OTHER = STRANGER


def test_a_watch_begins_now_and_sends_the_changes_of_all_own_orders(world: OrderBackend, watch: Watch) -> None:
    world.placed()
    buyer, seller = watch("WatchSse", SSE, BUYER), watch("WatchSse", SSE, SELLER)
    admin, stranger = watch("WatchSse", SSE, ADMIN), watch("WatchSse", SSE, STRANGER)
    for each in (buyer, seller, admin, stranger):
        each.wait_for(1)

    first, second = world.placed(), world.placed()
    world.act("accept", first, SELLER)

    eventually(lambda: len(buyer.sent_events()) == 3 and len(seller.sent_events()) == 3)
    expected = [("order", first, "place"), ("order", second, "place"), ("order", first, "accept")]
    for each in (buyer, seller):
        assert [(e["event"], e["data"]["orderId"], e["data"]["action"]) for e in each.sent_events()] == expected
    # An admin watches own orders only.
    assert admin.sent_events() == stranger.sent_events() == []


def test_the_first_block_has_an_id_from_which_the_client_can_resume(world: OrderBackend, watch: Watch) -> None:
    world.placed()
    watcher = watch("WatchSse", SSE, BUYER)
    watcher.wait_for(1)
    assert last_id(watcher.text()) == "1"
    watcher.close()
    order_id = world.placed()

    resumed = watch("WatchSse", SSE, BUYER, last_event_id="1")

    eventually(lambda: [event["data"]["orderId"] for event in resumed.sent_events()] == [order_id])
    assert last_id(resumed.text()) == "2"


def test_in_an_empty_feed_a_watch_begins_at_zero(world: OrderBackend, watch: Watch) -> None:
    watcher = watch("WatchSse", SSE, BUYER)
    watcher.wait_for(1)
    assert last_id(watcher.text()) == "0"
    world.placed()

    resumed = watch("Watch", event_pb2.WatchRequest(after="0"), BUYER)

    resumed.wait_for(1)
    assert resumed.responses[0].change.action == "place"


def test_a_client_that_resumes_gets_exactly_its_own_news_in_order_also_of_many_pages(
    world: OrderBackend, watch: Watch
) -> None:
    """Of more rows than one statement reads, on both sides, with those of others between."""
    mine, theirs = world.placed(), world.placed(OTHER)
    world.database.execute(
        """
        INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject)
        SELECT gen_random_uuid(), at, type, order_id, version,
            CASE WHEN number %% 3 = 0 THEN seller_id ELSE buyer_id END,
            CASE WHEN number %% 3 = 0 THEN buyer_id ELSE seller_id END, subject
        FROM generate_series(1, 650) AS number, events WHERE order_id IN (%s, %s) ORDER BY number
        """,
        (mine, theirs),
    )

    watcher = watch("Watch", event_pb2.WatchRequest(after="0"), BUYER)

    # Where it has caught up, it says so: nothing up to the newest event is missing, if that is another user's.
    eventually(lambda: watcher.responses and watcher.responses[-1].id == "1302")
    ids = [int(response.id) for response in watcher.responses if response.order_id]
    assert len(ids) == 651
    assert ids == sorted(set(ids))
    assert {response.order_id for response in watcher.responses} <= {mine, ""}


@pytest.mark.parametrize("sent", ["2", "-1", "01", "x", "9" * 19, "9" * 30])
def test_an_id_that_was_never_one_is_refused_by_name(world: OrderBackend, watch: Watch, sent: str) -> None:
    world.placed()

    typed = watch("Watch", event_pb2.WatchRequest(after=sent), BUYER)
    over_http = watch("WatchSse", SSE, BUYER, last_event_id=sent)

    assert [each["field"] for each in typed.end().body["details"]] == ["after"]
    assert over_http.end().http_status == 400
    assert [each["field"] for each in over_http.end().body["details"]] == ["Last-Event-ID"]


def test_an_id_is_too_old_when_the_next_event_is_older_than_thirty_days(world: OrderBackend, watch: Watch) -> None:
    world.placed()
    world.placed()
    world.clock.travel(timedelta(days=31))

    too_old = watch("WatchSse", SSE, BUYER, last_event_id="1")
    newest = watch("WatchSse", SSE, BUYER, last_event_id="2")

    assert too_old.end().http_status == 400
    # Nothing came after it: its client has missed nothing, however long it was away.
    newest.wait_for(1)
    assert not newest.is_over.is_set()


def test_grpc_callers_get_an_id_first_and_then_the_same(world: OrderBackend, watch: Watch) -> None:
    watcher = watch("Watch", event_pb2.WatchRequest(), SELLER)
    watcher.wait_for(1)
    assert (watcher.responses[0].id, watcher.responses[0].order_id) == ("0", "")

    order_id = world.placed()

    watcher.wait_for(2)
    response = watcher.responses[1]
    assert (response.id, response.order_id, response.change.action) == ("1", order_id, "place")


def test_watches_need_a_token(events: EventServer, watch: Watch) -> None:
    assert watch("WatchSse", SSE, "nonsense").end().error == "UNAUTHORIZED"
    assert watch("Watch", event_pb2.WatchRequest(), "nonsense").end().error == "UNAUTHORIZED"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_happens_while_a_watch_begins_comes_once(
    world: OrderBackend, events: EventServer, watch: Watch, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right before its database is read it comes both ways; right after that only by the subscription."""
    world.placed()
    really_open = UserWatch.open

    def open_meanwhile(self: UserWatch, resume: ResumeId) -> Opening:
        opening = really_open(self, resume) if moment == "after" else None
        before = position()
        world.placed()
        eventually(lambda: position() > before)
        return opening or really_open(self, resume)

    monkeypatch.setattr(UserWatch, "open", open_meanwhile)
    watcher = watch("Watch", event_pb2.WatchRequest(after="0"), BUYER)
    watcher.wait_for(2)
    monkeypatch.undo()
    world.placed()

    watcher.wait_for(3)
    assert [response.id for response in watcher.responses if response.order_id] == ["1", "2", "3"]


def position() -> float:
    """Return the position of the newest event that was published to subscriptions."""
    return REGISTRY.get_sample_value("marketplace_feed_position") or 0
