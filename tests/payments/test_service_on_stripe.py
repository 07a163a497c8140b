"""OrderService on Stripe, against the double: what the contract says of cards, minimums, webhooks and payouts."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody

from marketplace.order.v1 import order_pb2
from order_service.books import check
from order_service.payments.providers import stripe_payments
from servicekit.database import Database
from tests.support.orderservice import BUYER, SELLER, World
from tests.support.rpc import Answer
from tests.support.standins import GigStandIn, serving
from tests.support.stripe_double import StripeDouble

CARD = "pm_card_visa"
SECRET = "whsec_1"


@pytest.fixture
def stripe_world(order_database: Database, sandbox_database: Database, double: StripeDouble) -> Iterator[World]:
    gigs = GigStandIn()
    with serving(gigs) as address:
        payments = stripe_payments("sk_test_1", SECRET, "USD", double.url)
        yield World(order_database, sandbox_database, gigs, address, payments)


def report(world: World, event: dict[str, Any], signature: str | None = None) -> Answer:
    """Send an event as Stripe does."""
    payload = json.dumps(event).encode()
    if signature is None:
        stamp = int(time.time())
        digest = hmac.new(SECRET.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()
        signature = f"t={stamp},v1={digest}"
    request = order_pb2.ReceiveStripeEventRequest(event=HttpBody(data=payload))
    return world.rpc.call("ReceiveStripeEvent", request, stripe_signature=signature)


def an_event(name: str, kind: str, dispute: dict[str, Any], status: str = "needs_response") -> dict[str, Any]:
    return {"id": name, "type": kind, "data": {"object": {**dispute, "status": status}}}


def disputed(world: World, double: StripeDouble, order: str) -> dict[str, Any]:
    """Have the bank take an order's money back. Return the object that Stripe's events about it carry."""
    (reference,) = [name for name, intent in double.intents.items() if intent["metadata"]["order_id"] == order]
    return double.dispute(reference)


def test_a_life_on_stripe(stripe_world: World, double: StripeDouble) -> None:
    order = stripe_world.placed(card=CARD)
    assert stripe_world.payment(order) == ("AUTHORIZED", 0)
    stripe_world.act("accept", order, SELLER)
    stripe_world.act("deliver", order, SELLER)
    stripe_world.act("complete", order, BUYER)

    (intent,) = double.intents.values()
    assert (intent["status"], intent["amount"]) == ("succeeded", 50000)
    assert stripe_world.balance() == (0, 450, 0)


def test_a_cancelled_order_is_refunded_and_a_declined_one_voided(stripe_world: World, double: StripeDouble) -> None:
    cancelled, declined = stripe_world.placed(card=CARD), stripe_world.placed(card=CARD)
    stripe_world.act("accept", cancelled, SELLER)
    stripe_world.act("cancel", cancelled, SELLER)
    stripe_world.act("decline", declined, SELLER)

    stripe_world.settle()

    assert stripe_world.payment(cancelled) == ("REFUNDED", 500)
    assert stripe_world.payment(declined) == ("VOIDED", 0)
    assert [refund["amount"] for refund in double.refunds] == [50000]


def test_a_card_is_needed_and_the_sandbox_is_none(stripe_world: World, double: StripeDouble) -> None:
    without, sandbox = stripe_world.place(), stripe_world.place(payment_method="sandbox", payment_token=CARD)

    assert [each["field"] for each in without.body["details"]] == ["paymentToken"]
    assert [each["field"] for each in sandbox.body["details"]] == ["paymentMethod"]
    assert double.calls == []


@pytest.mark.parametrize(
    ("card", "error"),
    [("pm_card_chargeDeclined", "PAYMENT_DECLINED"), ("pm_card_authenticationRequired", "PAYMENT_ACTION_REQUIRED")],
)
def test_a_card_that_says_no_is_402_and_leaves_nothing(
    stripe_world: World, double: StripeDouble, card: str, error: str
) -> None:
    answer = stripe_world.place(payment_token=card)

    assert (answer.http_status, answer.error) == (402, error)
    assert stripe_world.listed(BUYER) == []
    assert {intent["status"] for intent in double.intents.values()} <= {"canceled"}


def test_a_payment_that_nobody_knows_about_is_finished_by_the_same_key(
    stripe_world: World, double: StripeDouble
) -> None:
    double.fail("payment_intents$", 500, after=True)

    assert stripe_world.place(key="k", payment_token=CARD).http_status == 503
    order = stripe_world.place(key="k", payment_token=CARD).response.order_id

    assert stripe_world.listed(BUYER) == [order]
    assert len(double.intents) == 1


def test_a_chargeback_is_taken_once_however_often_it_is_reported(stripe_world: World, double: StripeDouble) -> None:
    order = stripe_world.accepted(card=CARD)
    dispute = disputed(stripe_world, double, order)
    events = [
        an_event("evt_1", "charge.dispute.created", dispute),
        an_event("evt_1", "charge.dispute.created", dispute),
        an_event("evt_2", "charge.dispute.funds_withdrawn", dispute),
        an_event("evt_3", "charge.dispute.created", dispute),
    ]

    assert [report(stripe_world, event).error for event in events] == [""] * 4

    assert stripe_world.status(order) == "DISPUTED"
    assert [action for _, action in stripe_world.actions_done(order)] == ["place", "accept", "chargeback"]
    stripe_world.resolve(order, "CANCELLED")
    stripe_world.settle()
    assert stripe_world.payment(order) == ("REFUNDED", 500)
    assert double.refunds == []


def test_a_chargeback_whose_end_is_reported_first_changes_nothing(stripe_world: World, double: StripeDouble) -> None:
    order = stripe_world.accepted(card=CARD)
    dispute = disputed(stripe_world, double, order)

    report(stripe_world, an_event("evt_2", "charge.dispute.closed", dispute, "won"))
    report(stripe_world, an_event("evt_1", "charge.dispute.created", dispute))

    assert stripe_world.status(order) == "IN_PROGRESS"


@pytest.mark.parametrize("end", ["won", "lost"])
def test_the_books_agree_with_stripes_when_a_chargeback_has_ended(
    stripe_world: World, double: StripeDouble, order_database: Database, end: str
) -> None:
    dispute = disputed(stripe_world, double, stripe_world.accepted(card=CARD))
    report(stripe_world, an_event("evt_1", "charge.dispute.created", dispute))
    assert check(order_database, stripe_world.service.gateway).differences == []

    dispute["status"] = end
    report(stripe_world, an_event("evt_2", "charge.dispute.closed", dispute, end))

    assert check(order_database, stripe_world.service.gateway).differences == []


def test_what_stripe_did_not_sign_is_400_and_changes_nothing(stripe_world: World, double: StripeDouble) -> None:
    order = stripe_world.accepted(card=CARD)
    event = an_event("evt_1", "charge.dispute.created", disputed(stripe_world, double, order))

    for signature in ("", "t=1,v1=abc"):
        assert report(stripe_world, event, signature).http_status == 400

    assert stripe_world.status(order) == "IN_PROGRESS"
    assert report(stripe_world, event).error == ""
    assert stripe_world.status(order) == "DISPUTED"


def test_an_event_about_somebody_elses_payment_is_taken_and_forgotten(stripe_world: World) -> None:
    dispute = {"id": "dp_9", "payment_intent": "pi_unknown", "amount": 100}

    assert report(stripe_world, an_event("evt_9", "charge.dispute.created", dispute)).error == ""


def test_payouts_want_an_account_that_can_be_paid(stripe_world: World, double: StripeDouble) -> None:
    order = stripe_world.accepted(card=CARD)
    stripe_world.act("deliver", order, SELLER)
    stripe_world.act("complete", order, BUYER)

    def say(destination: str) -> Answer:
        return stripe_world.rpc.call(
            "SetPayoutAccount", order_pb2.SetPayoutAccountRequest(destination=destination), SELLER
        )

    def pay_out() -> Answer:
        return stripe_world.rpc.call("RequestPayout", order_pb2.RequestPayoutRequest(amount=100), SELLER)

    assert (pay_out().http_status, pay_out().error) == (409, "PAYOUT_ACCOUNT_MISSING")
    assert say("acct_nobody").http_status == 400
    assert pay_out().error == "PAYOUT_ACCOUNT_MISSING"
    assert say("acct_good").error == ""
    assert pay_out().error == ""
    stripe_world.settle()

    assert [(made["destination"], made["amount"]) for made in double.transfers] == [("acct_good", 10000)]
    assert stripe_world.balance() == (0, 350, 100)
