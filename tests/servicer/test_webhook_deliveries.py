"""Deliveries of events: who gets which, what is in them, when they are tried again, and what a crash leaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf import json_format

from order_service.domain.webhook import GIVE_UP_AFTER
from order_service.payments.sandbox import scenarios
from servicekit.database import Statement
from servicekit.outbox import Message, PutOff, Relay
from tests.support import webhooks
from tests.support.eventually import eventually
from tests.support.identity import token
from tests.support.orderservice import ADMIN, BUYER, SELLER, OrderBackend
from tests.support.sellers import completed, pay_out
from tests.support.webhook_receiver import Received, WebhookReceiver, hanging_receiver, webhook_receiver
from tests.support.webhooks import deliveries, endpoint, retry, shown, status

EVENT_IDS = Statement("SELECT id FROM events ORDER BY sequence")
REMOVE_LAST_OUTCOME = Statement("""
    UPDATE webhook_deliveries SET status = 'PENDING', next_at = app_now() WHERE id = $1
""")
FAR = Statement("UPDATE outbox SET next_attempt_at = app_now() + interval '10 hours' WHERE topic = 'webhook'")


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as running:
        yield running


def later(world: OrderBackend, by: timedelta) -> None:
    """Move the clock and do what is due then."""
    world.clock.travel(by)
    world.deliver_outbox()


def test_everybody_whom_an_order_concerns_gets_its_events(world: OrderBackend, receiver: WebhookReceiver) -> None:
    for name, who in (("buyer", BUYER), ("seller", SELLER), ("admin", ADMIN), ("stranger", token("x", "seller"))):
        endpoint(world, receiver, name, who)

    completed(world)
    world.settle()

    story = ["order.placed", "order.accepted", "order.delivered", "order.completed"]
    for name in ("buyer", "seller", "admin"):
        assert sorted(receiver.types(name)) == sorted(story)
    assert receiver.deliveries("stranger") == []
    assert receiver.invalid == []
    assert receiver.event_ids("buyer") == {str(row["id"]) for row in world.database.fetch_all(EVENT_IDS)}


def test_a_payouts_outcome_goes_to_its_seller_and_admins(world: OrderBackend, receiver: WebhookReceiver) -> None:
    for name, who in (("buyer", BUYER), ("seller", SELLER), ("admin", ADMIN)):
        endpoint(world, receiver, name, who, types=["payout.paid", "payout.failed"])
    completed(world)

    payout = pay_out(world, 100).response.payout_id
    world.settle()

    assert [receiver.types(name) for name in ("buyer", "seller", "admin")] == [[], ["payout.paid"], ["payout.paid"]]
    data = receiver.deliveries("seller")[0].body["data"]
    assert (data["payoutId"], data["status"], data["amount"]) == (payout, "PAID", 100)


def test_an_endpoint_gets_the_types_that_it_asks_for(world: OrderBackend, receiver: WebhookReceiver) -> None:
    endpoint(world, receiver, "some", types=["order.completed", "order.accepted"])

    completed(world)
    world.settle()

    assert sorted(receiver.types("some")) == ["order.accepted", "order.completed"]


def test_an_endpoint_with_two_reasons_for_an_event_gets_it_once(world: OrderBackend, receiver: WebhookReceiver) -> None:
    buys = token("happy_buyer", "buyer", "admin")
    both = endpoint(world, receiver, "both", buys)

    world.placed(buys)

    assert len(deliveries(world, both, buys)) == 1


def test_the_body_is_the_order_as_its_get_returned_it_to_the_owner(
    world: OrderBackend, receiver: WebhookReceiver
) -> None:
    people = {"buyer": BUYER, "seller": SELLER, "admin": ADMIN}
    for name, who in people.items():
        endpoint(world, receiver, name, who, types=["order.disputed"])
    order = world.accepted(scenarios.CHARGEBACK)
    world.settle()
    then = {name: world.get(order, who).response.order for name, who in people.items()}
    world.resolve(order, "CANCELLED")
    world.settle()

    for name in people:
        (received,) = receiver.deliveries(name)
        data = json_format.ParseDict(received.body["data"], type(then[name])())
        assert data == then[name]
        assert list(received.body) == ["type", "timestamp", "data"]
        assert ("chargeback" in received.body["data"]) == (name != "buyer")
    assert receiver.deliveries("admin")[0].body["data"]["actions"] == ["resolve"]


def test_the_timestamp_tells_which_event_was_first(world: OrderBackend, receiver: WebhookReceiver) -> None:
    endpoint(world, receiver)
    completed(world)
    world.settle()

    by_time = sorted(receiver.deliveries("in"), key=lambda each: str(each.body["timestamp"]))

    assert [each.type for each in by_time] == ["order.placed", "order.accepted", "order.delivered", "order.completed"]


def test_a_change_that_is_rolled_back_delivers_nothing(world: OrderBackend, receiver: WebhookReceiver) -> None:
    own = endpoint(world, receiver)
    order = world.placed()
    world.deliver_outbox()

    class Broken(Exception):
        pass

    with pytest.raises(Broken), world.store.transaction("a test's"):
        locked = world.store.orders.lock(UUID(order))
        world.store.webhook_deliveries.add(UUID(int=1), "order.accepted", *_people(locked.order))  # type: ignore[arg-type]
        raise Broken

    assert len(deliveries(world, own)) == 1
    assert webhooks.outbox(world) == []


def _people(order: Any) -> tuple[UUID, UUID]:
    return order.buyer_id, order.seller_id


@pytest.mark.parametrize("answer", [200, 201, 202, 204])
def test_any_2xx_delivers(world: OrderBackend, receiver: WebhookReceiver, answer: int) -> None:
    own = endpoint(world, receiver, respond=answer)
    world.placed()
    (before,) = deliveries(world, own)

    world.deliver_outbox()

    assert shown(before) == ("PENDING", 0, None)
    assert shown(deliveries(world, own)[0]) == ("DELIVERED", 1, answer)
    assert deliveries(world, own)[0].event_id == receiver.deliveries("in")[0].event_id
    assert webhooks.outbox(world) == []


@pytest.mark.parametrize("answer", [301, 400, 404, 500, 503])
def test_a_failing_receiver_is_asked_again_and_gets_the_same_event(
    world: OrderBackend, receiver: WebhookReceiver, answer: int
) -> None:
    own = endpoint(world, receiver, respond=answer)
    world.placed()
    world.deliver_outbox()
    assert shown(deliveries(world, own)[0]) == ("PENDING", 1, answer)

    later(world, timedelta(seconds=4))
    assert shown(deliveries(world, own)[0]) == ("PENDING", 1, answer)
    later(world, timedelta(seconds=2))
    assert shown(deliveries(world, own)[0]) == ("PENDING", 2, answer)
    receiver.respond["/in"] = lambda _: 200
    later(world, timedelta(seconds=72))

    assert shown(deliveries(world, own)[0]) == ("DELIVERED", 3, 200)
    assert len(receiver.deliveries("in")) == 3
    assert len(receiver.event_ids("in")) == 1
    assert len({each.text for each in receiver.deliveries("in")}) == 1
    assert status(world, own) == "ENABLED"


def test_a_receiver_that_cannot_be_reached_has_no_last_status(world: OrderBackend) -> None:
    own = webhooks.create(world, "http://127.0.0.1:1/").response.id
    world.placed()

    world.deliver_outbox()

    assert shown(deliveries(world, own)[0]) == ("PENDING", 1, None)


def test_after_a_day_of_failing_the_endpoint_is_disabled_until_a_retry_succeeds(
    world: OrderBackend, receiver: WebhookReceiver
) -> None:
    own = endpoint(world, receiver, respond=500)
    first = world.placed()
    world.deliver_outbox()
    later(world, GIVE_UP_AFTER - timedelta(seconds=1))
    assert (shown(deliveries(world, own)[0])[0], status(world, own)) == ("PENDING", "ENABLED")
    world.act("accept", first, SELLER)
    world.deliver_outbox()

    later(world, timedelta(seconds=2))

    accepted, placed = deliveries(world, own)
    assert (shown(placed)[0], status(world, own)) == ("FAILED", "DISABLED")
    # One that was waiting fails when it is due, without a call; new events are not delivered.
    calls = len(receiver.deliveries("in"))
    assert shown(accepted)[0] == "PENDING"
    later(world, timedelta(minutes=1))
    world.act("deliver", first, SELLER)
    world.settle()
    assert [shown(each)[0] for each in deliveries(world, own)] == ["FAILED", "FAILED"]
    assert len(receiver.deliveries("in")) == calls
    # A retry that fails changes nothing.
    retry(world, own, placed.id)
    world.deliver_outbox()
    assert (shown(deliveries(world, own)[1])[0], status(world, own)) == ("FAILED", "DISABLED")
    assert len(receiver.deliveries("in")) == calls + 1

    receiver.respond["/in"] = lambda _: 204
    assert shown(retry(world, own, placed.id).response.delivery)[0] == "PENDING"
    world.deliver_outbox()

    assert (shown(deliveries(world, own)[1])[0], status(world, own)) == ("DELIVERED", "ENABLED")
    world.act("complete", first, BUYER)
    world.deliver_outbox()
    assert shown(deliveries(world, own)[0]) == ("DELIVERED", 1, 204)


def test_a_receiver_that_is_gone_disables_its_endpoint_at_once(world: OrderBackend, receiver: WebhookReceiver) -> None:
    own, other = endpoint(world, receiver, "gone", respond=410), endpoint(world, receiver, "stays")
    world.placed()

    world.deliver_outbox()

    assert shown(deliveries(world, own)[0]) == ("FAILED", 1, 410)
    assert (status(world, own), status(world, other)) == ("DISABLED", "ENABLED")
    assert webhooks.outbox(world) == []


def test_only_a_retry_enables_an_endpoint_again(world: OrderBackend, receiver: WebhookReceiver) -> None:
    """A call that was under way while another one found the receiver gone changes nothing of that."""
    own = endpoint(world, receiver)
    for _ in range(2):
        world.placed()
    other = world.another_worker()

    def gone_meanwhile(_: Received) -> int:
        if len(receiver.deliveries("in")) > 1:
            return 410
        other.deliver_outbox()
        return 200

    receiver.respond["/in"] = gone_meanwhile
    world.deliver_outbox()

    assert {shown(each)[0] for each in deliveries(world, own)} == {"DELIVERED", "FAILED"}
    assert status(world, own) == "DISABLED"


def test_a_delivery_that_was_delivered_is_sent_again_on_demand(world: OrderBackend, receiver: WebhookReceiver) -> None:
    own = endpoint(world, receiver)
    world.placed()
    world.deliver_outbox()
    (delivery,) = deliveries(world, own)

    retried = retry(world, own, delivery.id)
    assert (retried.http_status if retried.error else 200, shown(retried.response.delivery)) == (
        200,
        ("PENDING", 1, 204),
    )
    world.deliver_outbox()

    assert shown(deliveries(world, own)[0]) == ("DELIVERED", 2, 204)
    assert [each.event_id for each in receiver.deliveries("in")] == [delivery.event_id] * 2


def test_a_retry_does_not_wait_for_the_time_of_the_next_attempt_and_many_are_one(
    world: OrderBackend, receiver: WebhookReceiver
) -> None:
    own = endpoint(world, receiver, respond=500)
    world.placed()
    world.deliver_outbox()
    world.database.fetch_all(FAR)
    (delivery,) = deliveries(world, own)
    receiver.respond["/in"] = lambda _: 200

    for _ in range(5):
        retry(world, own, delivery.id)
    assert len(webhooks.outbox(world)) == 1
    world.deliver_outbox()

    assert shown(deliveries(world, own)[0]) == ("DELIVERED", 2, 200)
    assert len(receiver.deliveries("in")) == 2


def test_a_retry_during_a_call_is_a_call_of_its_own(world: OrderBackend, receiver: WebhookReceiver) -> None:
    """The call that is under way neither ends the retry nor makes it wait."""
    own = endpoint(world, receiver)
    world.placed()
    (delivery,) = deliveries(world, own)

    def retried_meanwhile(_: Received) -> int:
        if len(receiver.deliveries("in")) == 1:
            retry(world.another_worker(), own, delivery.id)
            return 500
        return 200

    receiver.respond["/in"] = retried_meanwhile
    world.deliver_outbox()

    assert shown(deliveries(world, own)[0]) == ("DELIVERED", 2, 200)
    assert webhooks.outbox(world) == []


def test_a_crash_after_the_call_sends_it_again_and_one_after_the_outcome_does_not(
    world: OrderBackend, receiver: WebhookReceiver
) -> None:
    own = endpoint(world, receiver)
    world.placed()
    (delivery,) = deliveries(world, own)
    (row,) = webhooks.outbox(world)
    send = world.worker.topics["webhook"].deliver
    message = _message(row)

    send(message)
    # As it is when the worker dies between the two transactions.
    world.database.fetch_all(REMOVE_LAST_OUTCOME, delivery.id)
    send(message)
    send(message)

    assert [each.event_id for each in receiver.deliveries("in")] == [delivery.event_id] * 2
    assert shown(deliveries(world, own)[0]) == ("DELIVERED", 2, 204)


def test_a_crash_after_a_failure_was_stored_does_not_hasten_the_next_attempt(
    world: OrderBackend, receiver: WebhookReceiver
) -> None:
    endpoint(world, receiver, respond=500)
    world.placed()
    send = world.worker.topics["webhook"].deliver
    message = _message(webhooks.outbox(world)[0])

    for _ in range(2):
        with pytest.raises(PutOff) as put_off:
            send(message)

    assert timedelta(seconds=4) < put_off.value.delay <= timedelta(seconds=6)
    assert len(receiver.deliveries("in")) == 1


def _message(row: Any) -> Any:
    return Message("webhook", row["key"], row["version"], {}, 0)


def test_a_secret_without_its_key_waits_for_the_key(world: OrderBackend, receiver: WebhookReceiver) -> None:
    own = endpoint(world, receiver)
    world.database.execute("UPDATE webhook_endpoints SET secret = 'gAAAA'")
    world.placed()

    with pytest.raises(PutOff):
        world.worker.topics["webhook"].deliver(_message(webhooks.outbox(world)[0]))

    assert shown(deliveries(world, own)[0]) == ("PENDING", 0, None)


def test_anothers_hanging_receivers_do_not_delay_a_delivery(world: OrderBackend, receiver: WebhookReceiver) -> None:
    """Ten endpoints that never answer, with thirty deliveries each, before the one of somebody else."""
    with hanging_receiver() as hangs:
        for _ in range(10):
            assert webhooks.create(world, hangs, SELLER).error == ""
        for _ in range(30):
            world.placed()
        relay = Relay(world.database, {"webhook": world.worker.topics["webhook"]})
        relay.start()
        try:
            eventually(lambda: webhooks.outbox(world) and _attempts(world) >= 2)
            endpoint(world, receiver, "fast", BUYER)
            began = time.monotonic()
            world.placed()
            eventually(lambda: receiver.deliveries("fast"), 20)
            seconds = time.monotonic() - began
        finally:
            relay.stop()

    # A call to the hanging receivers takes ten seconds.
    assert seconds < 5


def _attempts(world: OrderBackend) -> int:
    return int(world.database.fetch_all(Statement("SELECT sum(attempts) AS n FROM webhook_deliveries"))[0]["n"] or 0)


def test_many_deliveries_to_a_slow_receiver_all_arrive(world: OrderBackend, receiver: WebhookReceiver) -> None:
    lock, at_once, most = threading.Lock(), 0, 0

    def slowly(_: Received) -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        with lock:
            at_once -= 1
        return 204

    own = endpoint(world, receiver, respond=slowly)
    for _ in range(40):
        world.placed()
    relay = Relay(world.database, {"webhook": world.worker.topics["webhook"]})
    relay.start()
    try:
        eventually(lambda: len(receiver.event_ids("in")) == 40)
        eventually(lambda: {shown(each)[0] for each in deliveries(world, own)} == {"DELIVERED"})
    finally:
        relay.stop()

    assert len(receiver.deliveries("in")) == 40
    assert most == 2


def test_the_body_is_json_without_spaces_and_in_unicode(world: OrderBackend, receiver: WebhookReceiver) -> None:
    endpoint(world, receiver)
    world.offer_package(gig_title="Bücher und 日本語")
    world.placed()
    world.deliver_outbox()

    (received,) = receiver.deliveries("in")

    assert json.dumps(received.body, ensure_ascii=False, separators=(",", ":")) == received.text
    assert received.body["data"]["gigTitle"] == "Bücher und 日本語"
