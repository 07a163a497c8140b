"""The whole stack on Stripe, against the double of it: cards, webhooks through the edge, payouts."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import Market, ok
from tests.support.stripe_double import StripeDouble, serving_double

SECRET = "whsec_e2e"
CARD = "pm_card_visa"


@pytest.fixture(scope="module")
def double() -> Iterator[StripeDouble]:
    with serving_double() as running:
        yield running


@pytest.fixture(scope="module")
def on_stripe(double: StripeDouble) -> Iterator[Stack]:
    running = Stack(
        PAYMENTS="stripe",
        STRIPE_API_KEY="sk_test_e2e",
        STRIPE_WEBHOOK_SECRET=SECRET,
        STRIPE_API_BASE=double.url,
        workers=1,
    )
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def shop(on_stripe: Stack) -> Market:
    return Market.of(on_stripe)


def place(shop: Market, card: str = CARD) -> httpx.Response:
    return shop.buyer.post("/api/orders", json=shop.order_request(shop.gig(), card))


def accepted(shop: Market) -> str:
    order = ok(place(shop), 201)["orderId"]
    ok(shop.seller.post(f"/api/orders/{order}/accept"))
    return str(order)


def report(shop: Market, event: dict[str, Any], secret: str = SECRET) -> httpx.Response:
    """Send an event as Stripe does: pretty-printed, and signed byte by byte."""
    payload = json.dumps(event, indent=2).encode()
    stamp = int(time.time())
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json; charset=utf-8", "stripe-signature": f"t={stamp},v1={digest}"}
    return shop.anyone.post("/api/webhooks/stripe", content=payload, headers=headers)


def payment_status(shop: Market, order: str) -> str:
    return str(ok(shop.buyer.get(f"/api/orders/{order}"))["payment"]["status"])


def test_an_order_is_paid_cancelled_and_refunded(shop: Market, double: StripeDouble) -> None:
    order = accepted(shop)

    ok(shop.seller.post(f"/api/orders/{order}/cancel"))

    eventually(lambda: payment_status(shop, order) == "REFUNDED")
    assert double.refunds[-1]["amount"] == 50000


def test_cards_are_asked_for_and_told_what_the_bank_said(shop: Market) -> None:
    assert place(shop, "").json()["details"][0]["field"] == "paymentToken"
    declined = place(shop, "pm_card_chargeDeclined")
    assert (declined.status_code, declined.json()) == (
        402,
        {"error": "Your card was declined.", "code": "PAYMENT_DECLINED"},
    )
    without_key = place(shop, "pm_card_authenticationRequired").json()
    assert (without_key["code"], "Idempotency-Key" in without_key["error"]) == ("PAYMENT_ACTION_REQUIRED", True)


def test_a_card_that_wants_confirmation_is_confirmed_and_the_webhook_places_the_order(
    shop: Market, double: StripeDouble
) -> None:
    body = {**shop.order_request(shop.gig(), "pm_card_authenticationRequired"), "expectedPrice": 500}
    first = shop.buyer.post("/api/orders", json=body, headers={"idempotency-key": "confirmed"})
    assert (first.status_code, first.json()["code"]) == (402, "PAYMENT_ACTION_REQUIRED")
    (intent,) = [each for each in double.intents.values() if each["status"] == "requires_action"]
    confirmation = first.json()["confirmation"]
    assert confirmation["clientSecret"] == intent["client_secret"]

    double.confirm(intent["id"])
    kind = "payment_intent.amount_capturable_updated"
    ok(report(shop, {"id": f"evt_{intent['id']}", "type": kind, "data": {"object": intent}}))

    order = intent["metadata"]["order_id"]
    eventually(lambda: shop.buyer.get(f"/api/orders/{order}").status_code == 200)
    repeated = shop.buyer.post("/api/orders", json=body, headers={"idempotency-key": "confirmed"})
    assert ok(repeated, 201)["orderId"] == order


def test_a_chargeback_comes_in_through_the_edge_by_its_signature_alone(shop: Market, double: StripeDouble) -> None:
    order = accepted(shop)
    (reference,) = [name for name, intent in double.intents.items() if intent["metadata"]["order_id"] == order]
    event = {"id": f"evt_{order}", "type": "charge.dispute.created", "data": {"object": double.dispute(reference)}}

    forged = report(shop, event, "whsec_other")
    assert (forged.status_code, forged.json()["code"]) == (400, "INVALID_ARGUMENT")
    assert ok(shop.buyer.get(f"/api/orders/{order}"))["status"] == "IN_PROGRESS"
    assert [ok(report(shop, event)) for _ in range(3)] == [{}] * 3

    events = ok(shop.buyer.get(f"/api/orders/{order}/events"))["events"]
    assert [(each["by"], each["action"]) for each in events][2:] == [("system", "chargeback")]


def test_a_payout_wants_an_account_and_is_paid(shop: Market, double: StripeDouble) -> None:
    order = accepted(shop)
    ok(shop.seller.post(f"/api/orders/{order}/deliver", json={"message": "Here it is"}))
    ok(shop.buyer.post(f"/api/orders/{order}/complete"))

    missing = shop.seller.post("/api/payouts", json={})
    assert (missing.status_code, missing.json()["code"]) == (409, "PAYOUT_ACCOUNT_MISSING")
    assert shop.seller.put("/api/payout-account", json={"destination": "acct_nobody"}).status_code == 400
    ok(shop.seller.put("/api/payout-account", json={"destination": "acct_good"}))
    payout = ok(shop.seller.post("/api/payouts", json={}), 201)

    eventually(lambda: ok(shop.seller.get(f"/api/payouts/{payout['payoutId']}"))["status"] == "PAID")
    assert ok(shop.seller.get("/api/balance")) == {"currency": "USD", "inEscrow": 0, "available": 0, "paidOut": 450}
    assert double.transfers[-1]["amount"] == 45000
