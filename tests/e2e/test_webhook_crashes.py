"""Webhooks while workers are killed, and while the keys of their secrets are changed. Starts stacks of its own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import Market, ok
from tests.support.webhook_receiver import Received, WebhookReceiver, webhook_receiver

OLD_KEY, NEW_KEY = (Fernet.generate_key().decode() for _ in range(2))


@pytest.mark.timeout(400)  # three starts of a stack
def test_deliveries_outlive_killed_workers_and_changed_keys(folder: Path) -> None:
    with webhook_receiver() as receiver:
        stack = Stack(folder, WEBHOOK_ALLOW_PRIVATE="true", WEBHOOK_KEYS=OLD_KEY)
        try:
            stack.start()
            market = Market.of(stack)
            endpoint = ok(market.admin.post("/api/webhook-endpoints", json={"url": receiver.url_of("in")}), 201)
            kill_every_worker_mid_delivery(stack, market, receiver, endpoint["secret"])
        finally:
            stack.stop()

        stack = Stack(folder, stack.ports.edge, WEBHOOK_ALLOW_PRIVATE="true", WEBHOOK_KEYS=f"{NEW_KEY},{OLD_KEY}")
        try:
            stack.start()
            market = Market.of(stack)
            order = market.order(market.gig())
            eventually(lambda: order in {each.body["data"].get("orderId") for each in receiver.deliveries("in")})
            log = "webhook secrets encrypted with the new key"
            eventually(lambda: any(log in file.read_text() for file in stack.layout.logs.glob("order-*.log")))
        finally:
            stack.stop()

        # The old key is not needed any more.
        stack = Stack(folder, stack.ports.edge, WEBHOOK_ALLOW_PRIVATE="true", WEBHOOK_KEYS=NEW_KEY)
        try:
            stack.start()
            market = Market.of(stack)
            order = market.order(market.gig())
            eventually(lambda: order in {each.body["data"].get("orderId") for each in receiver.deliveries("in")})
        finally:
            stack.stop()
        assert receiver.invalid == []


def kill_every_worker_mid_delivery(stack: Stack, market: Market, receiver: WebhookReceiver, secret: str) -> None:
    """Kill OrderService's workers while the receiver has a call of theirs, and see every event arrive."""
    came, go_on = threading.Event(), threading.Event()

    def respond(_: Received) -> int:
        came.set()
        go_on.wait(30)
        return 204

    receiver.expect("in", secret, respond)
    orders = {market.order(market.gig()) for _ in range(3)}
    assert came.wait(30)
    for name, process in stack.processes().items():
        if name.startswith("order-"):
            process.kill()
    go_on.set()
    stack.wait_until_healthy()
    last = eventually(lambda: placed(market))

    wanted = {*orders, last}
    eventually(lambda: {each.body["data"]["orderId"] for each in receiver.deliveries("in")} >= wanted, 60)
    deliveries = receiver.deliveries("in")
    assert len(deliveries) > len({each.event_id for each in deliveries}), "the call that was cut off is made again"


def placed(market: Market) -> str:
    """Return the id of a new order; empty when the workers are not there again."""
    answer = market.buyer.post("/api/orders", json=market.order_request(market.gig()))
    return str(answer.json()["orderId"]) if answer.status_code == 201 else ""
