"""Watches of one order: what they send, to whom, from where, and when they end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest

from marketplace.event.v1 import event_pb2
from order_service.convert.feed import to_json
from tests.events.conftest import Watch
from tests.support.events import last_id
from tests.support.eventually import eventually
from tests.support.orderservice import ADMIN, BUYER, SELLER, STRANGER, OrderBackend

Sse = event_pb2.WatchOrderSseRequest
Typed = event_pb2.WatchOrderRequest


def history(world: OrderBackend, order_id: str) -> list[dict[str, Any]]:
    """Return the rows of the history in the JSON of `GET /api/orders/{id}/events`."""
    return [to_json(row) for row in world.events(order_id, ADMIN).response.events]


def test_a_watch_sends_the_history_and_then_each_change_as_the_history_has_it(
    world: OrderBackend, watch: Watch
) -> None:
    order_id = world.placed()
    watcher = watch("WatchOrderSse", Sse(order_id=order_id), BUYER)
    eventually(lambda: len(watcher.sent_events()) == 1)

    world.act("accept", order_id, SELLER)
    eventually(lambda: len(watcher.sent_events()) == 2)
    world.act("deliver", order_id, SELLER, "Here it is — “done”")
    eventually(lambda: len(watcher.sent_events()) == 3)

    events = watcher.sent_events()
    assert [event["data"] for event in events] == history(world, order_id)
    assert [(event["id"], event["event"]) for event in events] == [("1", "order"), ("2", "order"), ("3", "order")]
    assert watcher.responses[0].content_type == "text/event-stream"


@pytest.mark.parametrize("sent", [BUYER, SELLER, ADMIN])
def test_both_sides_and_admins_may_watch(world: OrderBackend, watch: Watch, sent: str) -> None:
    order_id = world.placed()

    watcher = watch("WatchOrderSse", Sse(order_id=order_id), sent)

    eventually(lambda: len(watcher.sent_events()) == 1)


@pytest.mark.parametrize("rpc", ["WatchOrder", "WatchOrderSse"])
def test_who_may_not_see_an_order_gets_an_ordinary_error_before_anything(
    world: OrderBackend, watch: Watch, rpc: str
) -> None:
    order_id = world.placed()
    request = Typed if rpc == "WatchOrder" else Sse

    stranger = watch(rpc, request(order_id=order_id), STRANGER)
    nobody = watch(rpc, request(order_id=order_id), "nonsense")
    unknown = watch(rpc, request(order_id=str(uuid4())), ADMIN)
    malformed = watch(rpc, request(order_id="17"), BUYER)

    assert stranger.end().body == {"error": "Order not found", "code": "NOT_FOUND"}
    assert nobody.end().error == "UNAUTHORIZED"
    assert unknown.end().error == "NOT_FOUND"
    # WatchOrder has no path, so a malformed id is a malformed field.
    assert malformed.end().error == ("INVALID_ARGUMENT" if rpc == "WatchOrder" else "NOT_FOUND")
    assert [each.responses for each in (stranger, nobody, unknown, malformed)] == [[]] * 4


def test_a_client_that_resumes_gets_what_came_after_its_id(world: OrderBackend, watch: Watch) -> None:
    order_id = world.delivered()

    watcher = watch("WatchOrderSse", Sse(order_id=order_id), BUYER, last_event_id="2")

    eventually(lambda: [event["id"] for event in watcher.sent_events()] == ["3"])


def test_a_client_that_has_everything_knows_at_once_that_it_watches(world: OrderBackend, watch: Watch) -> None:
    order_id = world.delivered()

    watcher = watch("WatchOrderSse", Sse(order_id=order_id), BUYER, last_event_id="3")

    watcher.wait_for(1)
    assert watcher.sent_events() == []
    assert last_id(watcher.text()) == ""


@pytest.mark.parametrize("sent", ["4", "0", "-1", "01", "1.0", "x", "９", "1, 2", "9" * 30])
def test_an_id_that_the_order_has_not_had_is_refused_by_name(world: OrderBackend, watch: Watch, sent: str) -> None:
    order_id = world.delivered()

    typed = watch("WatchOrder", Typed(order_id=order_id, after=sent), BUYER)
    assert [each["field"] for each in typed.end().body["details"]] == ["after"]

    if sent.isascii():
        over_http = watch("WatchOrderSse", Sse(order_id=order_id), BUYER, last_event_id=sent)
        assert over_http.end().http_status == 400
        assert [each["field"] for each in over_http.end().body["details"]] == ["Last-Event-ID"]


@pytest.mark.parametrize(("action", "by"), [("complete", BUYER), ("cancel", SELLER)])
def test_a_watch_ends_after_the_last_possible_change(world: OrderBackend, watch: Watch, action: str, by: str) -> None:
    order_id = world.delivered() if action == "complete" else world.accepted()
    watcher = watch("WatchOrderSse", Sse(order_id=order_id), BUYER)
    eventually(watcher.sent_events)

    world.act(action, order_id, by)

    assert watcher.end().code is grpc.StatusCode.OK
    assert [event["data"] for event in watcher.sent_events()] == history(world, order_id)


def test_who_comes_back_after_the_end_gets_nothing_and_an_earlier_id_gets_the_rest(
    world: OrderBackend, watch: Watch
) -> None:
    order_id = world.delivered()
    world.act("complete", order_id, BUYER)
    world.refund(order_id, 20.5)

    last = watch("WatchOrderSse", Sse(order_id=order_id), BUYER, last_event_id="4")
    refund = watch("WatchOrderSse", Sse(order_id=order_id), BUYER, last_event_id="5")
    earlier = watch("WatchOrderSse", Sse(order_id=order_id), BUYER, last_event_id="2")
    everything = watch("WatchOrder", Typed(order_id=order_id), BUYER)

    # A stream that ends without a response is a 204 at the edge.
    assert (last.end().code, last.responses) == (grpc.StatusCode.OK, [])
    assert (refund.end().code, refund.responses) == (grpc.StatusCode.OK, [])
    earlier.end()
    assert [event["id"] for event in earlier.sent_events()] == ["3", "4"]
    # What follows the end is read from the history.
    everything.end()
    assert [response.change.action for response in everything.responses] == ["place", "accept", "deliver", "complete"]


def test_an_order_from_before_the_feed_can_be_watched(world: OrderBackend, watch: Watch) -> None:
    order_id = world.placed()
    world.placed()
    world.store.feed_reader.number()
    world.database.execute("DELETE FROM events WHERE order_id = %s", (order_id,))

    watcher = watch("WatchOrderSse", Sse(order_id=order_id), BUYER)
    eventually(lambda: len(watcher.sent_events()) == 1)
    world.act("accept", order_id, SELLER)

    eventually(lambda: [event["id"] for event in watcher.sent_events()] == ["1", "2"])


def test_grpc_callers_get_the_same_as_typed_messages(world: OrderBackend, watch: Watch) -> None:
    order_id = world.placed()
    watcher = watch("WatchOrder", Typed(order_id=order_id), SELLER)
    watcher.wait_for(1)
    world.act("accept", order_id, SELLER)
    watcher.wait_for(2)

    assert [response.id for response in watcher.responses] == ["1", "2"]
    assert [response.change for response in watcher.responses] == list(world.events(order_id, ADMIN).response.events)


def test_a_reminder_goes_out_as_one_and_changes_nothing(world: OrderBackend, watch: Watch) -> None:
    order_id = world.placed()
    over_http = watch("WatchOrderSse", Sse(order_id=order_id), BUYER)
    typed = watch("WatchOrder", Typed(order_id=order_id), BUYER)
    typed.wait_for(1)
    of_user = watch("WatchSse", event_pb2.WatchSseRequest(), SELLER)
    of_user.wait_for(1)

    world.clock.travel(timedelta(hours=40))
    assert world.worker.reminders.remind_due() == 1

    eventually(lambda: len(over_http.sent_events()) == 2)
    (_, reminder) = over_http.sent_events()
    assert (reminder["id"], reminder["event"]) == ("2", "reminder")
    assert reminder["data"] == {"type": "order.expiring", "orderId": order_id, "at": reminder["data"]["at"]}
    eventually(lambda: len(of_user.sent_events()) == 1)
    [to_seller] = of_user.sent_events()
    assert (to_seller["event"], to_seller["data"]) == ("reminder", reminder["data"])
    typed.wait_for(2)
    assert typed.responses[1].reminder.type == "order.expiring"
    assert not typed.responses[1].HasField("change")
