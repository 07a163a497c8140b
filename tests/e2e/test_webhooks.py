"""Webhooks through the real edge: a receiver that verifies signatures as receivers do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from deploy.local.postgres import database_url
from servicekit.clock import Clock
from servicekit.database import Database
from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import Market, ok
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as running:
        yield running


@pytest.fixture
def clock(stack: Stack) -> Iterator[Clock]:
    """Return the orders' clock; afterwards it is as it was."""
    database = Database(database_url(stack.layout, "orders"))
    yield Clock(database)
    database.execute("UPDATE app_clock SET ahead = '0'")
    database.close()


def an_endpoint(
    client: httpx.Client, receiver: WebhookReceiver, name: str, *, respond: int = 204, **body: Any
) -> dict[str, Any]:
    """Create an endpoint that leads to the receiver."""
    answer = client.post("/api/webhook-endpoints", json={"url": receiver.url_of(name), **body})
    created: dict[str, Any] = ok(answer, 201)
    assert answer.headers["location"].endswith(f"/api/webhook-endpoints/{created['id']}")
    receiver.expect(name, created["secret"], respond)
    return created


def deliveries(client: httpx.Client, endpoint: dict[str, Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = ok(client.get(f"/api/webhook-endpoints/{endpoint['id']}/deliveries"))["results"]
    return listed


def data_of(receiver: WebhookReceiver, name: str, event_type: str) -> str:
    """Return the `data` of the one event of this type that came, as the bytes that came."""
    (received,) = eventually(lambda: [each for each in receiver.deliveries(name) if each.type == event_type])
    data = received.text.split('"data":', 1)[1].removesuffix("}")
    assert json.loads(data) == received.body["data"]
    return data


def test_an_orders_whole_story_reaches_everybody_whom_it_concerns(market: Market, receiver: WebhookReceiver) -> None:
    people = {"buyer": market.buyer, "seller": market.seller, "admin": market.admin}
    for name, client in people.items():
        an_endpoint(client, receiver, name)
    gig = market.gig(price=19.99)

    order = market.order(gig)
    shown = {name: client.get(f"/api/orders/{order}").text for name, client in people.items()}
    assert {name: data_of(receiver, name, "order.placed") for name in people} == shown
    ok(market.seller.post(f"/api/orders/{order}/accept"))
    ok(market.seller.post(f"/api/orders/{order}/deliver", json={"message": "Here it is"}))
    shown = {name: client.get(f"/api/orders/{order}").text for name, client in people.items()}
    assert {name: data_of(receiver, name, "order.delivered") for name in people} == shown
    ok(market.buyer.post(f"/api/orders/{order}/complete"))
    payout = ok(market.seller.post("/api/payouts", json={"amount": 17.99}), 201)["payoutId"]
    paid = data_of(receiver, "seller", "payout.paid")

    assert paid == market.seller.get(f"/api/payouts/{payout}").text
    story = {"order.placed", "order.accepted", "order.delivered", "order.completed"}
    eventually(lambda: set(receiver.types("buyer")) == story)
    eventually(lambda: set(receiver.types("seller")) == {*story, "payout.paid"})
    eventually(lambda: set(receiver.types("admin")) >= {*story, "payout.paid"})
    assert receiver.invalid == []


def test_the_secret_is_shown_once_and_the_endpoint_reads_as_the_contract_has_it(
    market: Market, receiver: WebhookReceiver
) -> None:
    created = an_endpoint(market.buyer, receiver, "buyer", types=["order.placed"])
    path = f"/api/webhook-endpoints/{created['id']}"

    assert created.pop("secret").startswith("whsec_")
    assert created == {
        "id": created["id"],
        "url": receiver.url_of("buyer"),
        "types": ["order.placed"],
        "status": "ENABLED",
        "createdAt": created["createdAt"],
    }
    assert ok(market.buyer.get(path)) == created
    assert ok(market.buyer.get("/api/webhook-endpoints")) == {"results": [created]}
    market.order(market.gig())
    (delivery,) = eventually(lambda: [each for each in deliveries(market.buyer, created) if "lastStatus" in each])
    assert delivery == {
        "id": delivery["id"],
        "eventId": receiver.deliveries("buyer")[0].event_id,
        "status": "DELIVERED",
        "attempts": 1,
        "lastStatus": 204,
    }
    assert market.seller.get(path).status_code == 404
    ok(market.buyer.delete(path), 204)
    assert market.buyer.get(path).status_code == 404


def test_wrong_fields_are_named(market: Market) -> None:
    answer = market.buyer.post("/api/webhook-endpoints", json={"url": "ftp://x", "types": ["order.placed", "nothing"]})

    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["details"]] == ["url", "types[1]"]


def test_a_failing_receiver_is_asked_again_and_a_gone_one_is_not_until_a_retry_succeeds(
    market: Market, receiver: WebhookReceiver, clock: Clock
) -> None:
    endpoint = an_endpoint(market.buyer, receiver, "in", respond=500)
    path = f"/api/webhook-endpoints/{endpoint['id']}"
    order = market.order(market.gig())
    (first,) = eventually(lambda: [each for each in deliveries(market.buyer, endpoint) if each["attempts"] == 1])
    eventually(lambda: deliveries(market.buyer, endpoint)[0].get("lastStatus") == 500)
    receiver.respond["/in"] = lambda _: 410
    clock.travel(timedelta(seconds=10))
    eventually(lambda: ok(market.buyer.get(path))["status"] == "DISABLED")
    assert (
        deliveries(market.buyer, endpoint)
        == [{**first, "status": "FAILED", "attempts": 2, "lastStatus": 410} | {"nextAt": None}]
        or "nextAt" not in deliveries(market.buyer, endpoint)[0]
    )
    ok(market.seller.post(f"/api/orders/{order}/accept"))
    assert len(deliveries(market.buyer, endpoint)) == 1

    receiver.respond["/in"] = lambda _: 200
    retried = ok(market.buyer.post(f"{path}/deliveries/{first['id']}/retry"))

    assert retried["status"] == "PENDING"
    eventually(lambda: ok(market.buyer.get(path))["status"] == "ENABLED")
    assert deliveries(market.buyer, endpoint)[0]["status"] == "DELIVERED"
    assert receiver.types("in") == ["order.placed"]
    assert len(receiver.deliveries("in")) == 3


def has_answered(market: Market, endpoint: dict[str, Any], status: int) -> bool:
    """Whether a delivery to an endpoint of the buyer has got this status."""
    return any(each.get("lastStatus") == status for each in deliveries(market.buyer, endpoint))


def test_logs_have_neither_secrets_nor_urls(stack: Stack, market: Market, receiver: WebhookReceiver) -> None:
    created = an_endpoint(market.buyer, receiver, "in", respond=500)
    other = ok(market.buyer.post("/api/webhook-endpoints", json={"url": receiver.url_of("x?token=hush-hush")}), 201)
    market.order(market.gig())
    for endpoint, status in ((created, 500), (other, 503)):
        eventually(partial(has_answered, market, endpoint, status))

    logs = "".join(log.read_text(errors="replace") for log in stack.layout.logs.glob("*.log*"))

    assert created["id"] in logs
    for secret in (created["secret"].removeprefix("whsec_"), other["secret"].removeprefix("whsec_"), "hush-hush"):
        assert secret not in logs
