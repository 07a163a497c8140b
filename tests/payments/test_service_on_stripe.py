"""OrderService on the double of Stripe: the contract's cards, minimums, webhooks and payouts."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from google.api.httpbody_pb2 import HttpBody

from marketplace.order.v1 import order_pb2
from order_service.domain.payout import FIRST_DELAY, NOT_COVERED
from order_service.payments.providers import stripe_payments
from order_service.reconciliation import check
from servicekit.database import Database
from servicekit.outbox import PutOff
from tests.support.orderservice import BUYER, SELLER, OrderBackend
from tests.support.rpc import Answer
from tests.support.sellers import completed, pay_out, send, set_account, shown_payout
from tests.support.standins import GigStandIn, serving
from tests.support.stripe_double import StripeDouble

CARD = "pm_card_visa"
CONFIRM = "pm_card_authenticationRequired"
SECRET = "whsec_1"


@pytest.fixture
def stripe_backend(
    order_database: Database, sandbox_database: Database, double: StripeDouble
) -> Iterator[OrderBackend]:
    gigs = GigStandIn()
    with serving(gigs) as address:
        payments = stripe_payments("sk_test_1", SECRET, "USD", double.url)
        yield OrderBackend(order_database, sandbox_database, gigs, address, payments)


def report(world: OrderBackend, event: dict[str, Any], signature: str | None = None) -> Answer:
    """Send an event with Stripe's signature, or with the given one."""
    payload = json.dumps(event).encode()
    if signature is None:
        stamp = int(time.time())
        digest = hmac.new(SECRET.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()
        signature = f"t={stamp},v1={digest}"
    request = order_pb2.ReceiveStripeEventRequest(event=HttpBody(data=payload))
    return world.rpc.call("ReceiveStripeEvent", request, stripe_signature=signature)


def an_event(name: str, kind: str, dispute: dict[str, Any], status: str = "needs_response") -> dict[str, Any]:
    return {"id": name, "type": kind, "data": {"object": {**dispute, "status": status}}}


def report_all(world: OrderBackend, double: StripeDouble) -> None:
    """Send the webhooks of all of Stripe's events."""
    assert [report(world, event).error for event in double.events] == [""] * len(double.events)


def refunds_of(double: StripeDouble, order: str) -> list[int]:
    """Return the refunds of the order's payment at Stripe, in cents."""
    intents = double.intents
    return [
        each["amount"] for each in double.refunds if intents[each["payment_intent"]]["metadata"]["order_id"] == order
    ]


def open_dispute(world: OrderBackend, double: StripeDouble, order: str) -> dict[str, Any]:
    """Open a dispute of the order's payment at Stripe. Return the object that its events carry."""
    (reference,) = [name for name, intent in double.intents.items() if intent["metadata"]["order_id"] == order]
    return double.dispute(reference)


def test_an_order_is_paid_and_completed_on_stripe(stripe_backend: OrderBackend, double: StripeDouble) -> None:
    order = stripe_backend.placed(card=CARD)
    assert stripe_backend.payment(order) == ("AUTHORIZED", 0)
    stripe_backend.act("accept", order, SELLER)
    stripe_backend.act("deliver", order, SELLER)
    stripe_backend.act("complete", order, BUYER)

    (intent,) = double.intents.values()
    assert (intent["status"], intent["amount"]) == ("succeeded", 50000)
    assert stripe_backend.balance() == (0, 450, 0)


def test_a_cancelled_order_is_refunded_and_a_declined_one_voided(
    stripe_backend: OrderBackend, double: StripeDouble
) -> None:
    cancelled, declined = stripe_backend.placed(card=CARD), stripe_backend.placed(card=CARD)
    stripe_backend.act("accept", cancelled, SELLER)
    stripe_backend.act("cancel", cancelled, SELLER)
    stripe_backend.act("decline", declined, SELLER)

    stripe_backend.settle()

    assert stripe_backend.payment(cancelled) == ("REFUNDED", 500)
    assert stripe_backend.payment(declined) == ("VOIDED", 0)
    assert refunds_of(double, cancelled) == [50000]


@pytest.mark.parametrize("is_stored", [True, False], ids=["after the void is stored", "before it is stored"])
def test_the_release_of_an_authorization_is_no_refund_of_the_order(
    stripe_backend: OrderBackend, double: StripeDouble, is_stored: bool
) -> None:
    order = stripe_backend.placed(card=CARD)
    if not is_stored:
        [reference] = double.intents
        stripe_backend.worker.gateway.void(UUID(order), reference)
        report_all(stripe_backend, double)

    stripe_backend.act("decline", order, SELLER)
    stripe_backend.settle()
    report_all(stripe_backend, double)

    assert refunds_of(double, order) == [50000]
    assert stripe_backend.payment(order) == ("VOIDED", 0)
    assert check(stripe_backend.database, stripe_backend.worker.gateway).differences == []


def test_a_payment_token_is_required_and_the_sandbox_is_no_payment_method(
    stripe_backend: OrderBackend, double: StripeDouble
) -> None:
    without, sandbox = stripe_backend.place(), stripe_backend.place(payment_method="sandbox", payment_token=CARD)

    assert [each["field"] for each in without.body["details"]] == ["paymentToken"]
    assert [each["field"] for each in sandbox.body["details"]] == ["paymentMethod"]
    assert double.calls == []


def test_a_declined_card_is_402_and_stores_no_order(stripe_backend: OrderBackend, double: StripeDouble) -> None:
    answer = stripe_backend.place(payment_token="pm_card_chargeDeclined")

    assert (answer.http_status, answer.error) == (402, "PAYMENT_DECLINED")
    assert stripe_backend.listed(BUYER) == []
    assert double.intents == {}


def confirmation_event(double: StripeDouble, kind: str) -> dict[str, Any]:
    (intent,) = double.intents.values()
    return {"id": "evt_1", "type": kind, "data": {"object": intent}}


def test_a_confirmation_that_the_webhook_reports_before_the_repeat_places_the_order_at_once(
    stripe_backend: OrderBackend, double: StripeDouble
) -> None:
    first = stripe_backend.place(key="k", payment_token=CONFIRM)
    (reference,) = double.intents
    assert first.body["confirmation"]["clientSecret"] == double.intents[reference]["client_secret"]
    stripe_backend.settle()
    double.confirm(reference)
    # Only the webhook brings it; payment recovery would ask later.
    event = double.events.pop()
    stripe_backend.settle()
    assert stripe_backend.listed(BUYER) == []

    assert [report(stripe_backend, event).error for _ in range(3)] == [""] * 3
    stripe_backend.settle()

    (order,) = stripe_backend.listed(BUYER)
    assert stripe_backend.place(key="k", payment_token=CONFIRM).response.order_id == order
    assert double.intents[reference]["status"] == "requires_capture"
    assert check(stripe_backend.database, stripe_backend.worker.gateway).differences == []


def test_a_confirmation_whose_webhook_was_lost_is_learnt_from_stripes_list_of_events(
    stripe_backend: OrderBackend, double: StripeDouble
) -> None:
    stripe_backend.place(key="k", payment_token=CONFIRM)
    # Payment recovery asks before the confirmation, and will ask again later.
    stripe_backend.worker.payment_recovery.recover_due()
    (reference,) = double.intents
    double.confirm(reference)

    stripe_backend.settle()

    (order,) = stripe_backend.listed(BUYER)
    assert double.intents[reference]["metadata"]["order_id"] == order


@pytest.mark.parametrize("kind", ["payment_intent.payment_failed", "payment_intent.canceled"])
def test_a_failed_confirmation_that_the_webhook_reports_is_declined_at_the_next_post(
    stripe_backend: OrderBackend, double: StripeDouble, kind: str
) -> None:
    stripe_backend.place(key="k", payment_token=CONFIRM)
    (reference,) = double.intents
    double.refuse_confirmation(reference)
    report(stripe_backend, confirmation_event(double, kind))

    stripe_backend.settle()

    assert double.intents[reference]["status"] == "canceled"
    assert stripe_backend.place(key="k", payment_token=CONFIRM).error == "PAYMENT_DECLINED"
    assert stripe_backend.place(key="k", payment_token=CARD).error == ""


@pytest.mark.parametrize(
    "kind", ["payment_intent.payment_failed", "payment_intent.canceled", "payment_intent.amount_capturable_updated"]
)
def test_a_report_of_a_confirmation_alone_changes_nothing(
    stripe_backend: OrderBackend, double: StripeDouble, kind: str
) -> None:
    first = stripe_backend.place(key="k", payment_token=CONFIRM)

    report(stripe_backend, confirmation_event(double, kind))
    stripe_backend.settle()

    assert stripe_backend.place(key="k", payment_token=CONFIRM).body == first.body
    assert stripe_backend.listed(BUYER) == []


def test_a_payment_that_is_confirmed_too_late_is_canceled(stripe_backend: OrderBackend, double: StripeDouble) -> None:
    stripe_backend.place(key="k", payment_token=CONFIRM)
    (reference,) = double.intents
    stripe_backend.travel(timedelta(minutes=16))
    double.confirm(reference)
    report(stripe_backend, confirmation_event(double, "payment_intent.amount_capturable_updated"))

    stripe_backend.settle()

    assert double.intents[reference]["status"] == "canceled"
    assert stripe_backend.listed(BUYER) == []
    assert stripe_backend.place(key="k", payment_token=CARD).error == ""


@pytest.mark.parametrize("after", [True, False], ids=["authorized", "never arrived"])
def test_a_placing_in_doubt_for_an_hour_has_no_payment_at_stripe(
    stripe_backend: OrderBackend, double: StripeDouble, after: bool
) -> None:
    double.fail("payment_intents$", 503, after=after)
    assert stripe_backend.place(key="k", payment_token=CARD).error == "OUTCOME_UNKNOWN"
    stripe_backend.travel(timedelta(minutes=61))

    stripe_backend.settle()

    assert {intent["status"] for intent in double.intents.values()} == {"canceled"}
    assert stripe_backend.store.attempts.counts() == {}
    assert stripe_backend.listed(BUYER) == []
    assert check(stripe_backend.database, stripe_backend.worker.gateway).differences == []


def test_an_authorization_with_an_unknown_outcome_is_finished_by_the_same_key(
    stripe_backend: OrderBackend, double: StripeDouble
) -> None:
    double.fail("payment_intents$", 500, after=True)

    assert stripe_backend.place(key="k", payment_token=CARD).http_status == 503
    order = stripe_backend.place(key="k", payment_token=CARD).response.order_id

    assert stripe_backend.listed(BUYER) == [order]
    assert len(double.intents) == 1


def test_a_chargeback_is_recorded_once_however_often_it_is_reported(
    stripe_backend: OrderBackend, double: StripeDouble
) -> None:
    order = stripe_backend.accepted(card=CARD)
    dispute = open_dispute(stripe_backend, double, order)
    events = [
        an_event("evt_1", "charge.dispute.created", dispute),
        an_event("evt_1", "charge.dispute.created", dispute),
        an_event("evt_2", "charge.dispute.funds_withdrawn", dispute),
        an_event("evt_3", "charge.dispute.created", dispute),
    ]

    assert [report(stripe_backend, event).error for event in events] == [""] * 4

    assert stripe_backend.status(order) == "DISPUTED"
    assert [action for _, action in stripe_backend.history(order)] == ["place", "accept", "chargeback"]
    stripe_backend.resolve(order, "CANCELLED")
    stripe_backend.settle()
    assert stripe_backend.payment(order) == ("REFUNDED", 500)
    assert double.refunds == []


def test_a_won_chargeback_that_is_reported_first_has_the_same_end(
    stripe_backend: OrderBackend, double: StripeDouble
) -> None:
    order = stripe_backend.accepted(card=CARD)
    dispute = open_dispute(stripe_backend, double, order)
    double.move_dispute(dispute["id"], "won")

    report(stripe_backend, an_event("evt_2", "charge.dispute.closed", dispute, "won"))
    report(stripe_backend, an_event("evt_1", "charge.dispute.created", dispute))

    assert stripe_backend.status(order) == "DISPUTED"
    assert [action for _, action in stripe_backend.history(order)] == ["place", "accept", "chargeback"]
    stripe_backend.resolve(order, "CANCELLED")
    stripe_backend.settle()
    assert [refund["amount"] for refund in double.refunds] == [50000]


def test_a_chargeback_whose_webhook_was_lost_is_learnt_from_stripes_list_of_events(
    stripe_backend: OrderBackend, double: StripeDouble
) -> None:
    order = stripe_backend.accepted(card=CARD)
    open_dispute(stripe_backend, double, order)

    stripe_backend.settle()

    assert stripe_backend.status(order) == "DISPUTED"


def test_a_refund_that_fails_later_is_made_again(stripe_backend: OrderBackend, double: StripeDouble) -> None:
    order = stripe_backend.accepted(card=CARD)
    stripe_backend.act("cancel", order, SELLER)
    stripe_backend.settle()
    (first,) = double.refunds

    double.move_refund(first["id"], "failed")
    report(stripe_backend, double.events[-1])

    assert stripe_backend.payment(order) == ("CAPTURED", 0)
    stripe_backend.settle()
    assert stripe_backend.payment(order) == ("REFUNDED", 500)
    assert [(refund["amount"], refund["status"]) for refund in double.refunds] == [
        (50000, "failed"),
        (50000, "succeeded"),
    ]


def test_a_refund_made_in_stripes_dashboard_counts(stripe_backend: OrderBackend, double: StripeDouble) -> None:
    order = stripe_backend.accepted(card=CARD)
    (reference,) = double.intents
    double.refund_by_hand(reference, 20000)

    # Its webhook comes after the rest was tried.
    stripe_backend.act("cancel", order, SELLER)
    stripe_backend.settle_with_retries()

    assert stripe_backend.payment(order) == ("REFUNDED", 500)
    assert [refund["amount"] for refund in double.refunds] == [20000, 30000]


def test_of_a_partial_chargeback_the_rest_of_a_refund_is_paid(
    stripe_backend: OrderBackend, double: StripeDouble
) -> None:
    order = stripe_backend.accepted(card=CARD)
    (reference,) = double.intents
    dispute = double.dispute(reference, amount=5000)
    report(stripe_backend, an_event("evt_1", "charge.dispute.created", dispute))
    stripe_backend.resolve(order, "CANCELLED")
    stripe_backend.settle()
    assert [refund["amount"] for refund in double.refunds] == [45000]

    double.move_dispute(dispute["id"], "won")
    report(stripe_backend, an_event("evt_2", "charge.dispute.closed", dispute, "won"))
    stripe_backend.settle()

    assert [refund["amount"] for refund in double.refunds] == [45000, 5000]
    assert stripe_backend.payment(order) == ("REFUNDED", 500)


@pytest.mark.parametrize("end", ["won", "lost"])
def test_the_records_agree_with_stripes_when_a_chargeback_is_closed(
    stripe_backend: OrderBackend, double: StripeDouble, order_database: Database, end: str
) -> None:
    dispute = open_dispute(stripe_backend, double, stripe_backend.accepted(card=CARD))
    report(stripe_backend, an_event("evt_1", "charge.dispute.created", dispute))
    assert check(order_database, stripe_backend.worker.gateway).differences == []

    double.move_dispute(dispute["id"], end)
    report(stripe_backend, an_event("evt_2", "charge.dispute.closed", dispute, end))

    assert check(order_database, stripe_backend.worker.gateway).differences == []


def test_an_event_without_stripes_signature_is_400_and_changes_nothing(
    stripe_backend: OrderBackend, double: StripeDouble
) -> None:
    order = stripe_backend.accepted(card=CARD)
    event = an_event("evt_1", "charge.dispute.created", open_dispute(stripe_backend, double, order))

    for signature in ("", "t=1,v1=abc"):
        assert report(stripe_backend, event, signature).http_status == 400

    assert stripe_backend.status(order) == "IN_PROGRESS"
    assert report(stripe_backend, event).error == ""
    assert stripe_backend.status(order) == "DISPUTED"


def test_an_event_about_an_unknown_payment_is_accepted_and_ignored(stripe_backend: OrderBackend) -> None:
    dispute = {"id": "dp_9", "payment_intent": "pi_unknown", "amount": 100}

    assert report(stripe_backend, an_event("evt_9", "charge.dispute.created", dispute)).error == ""


def test_a_payout_needs_an_account_that_can_be_paid(stripe_backend: OrderBackend, double: StripeDouble) -> None:
    completed(stripe_backend, card=CARD)

    assert (pay_out(stripe_backend, 100).http_status, pay_out(stripe_backend).error) == (409, "PAYOUT_ACCOUNT_MISSING")
    assert set_account(stripe_backend, "acct_nobody").http_status == 400
    assert pay_out(stripe_backend, 100).error == "PAYOUT_ACCOUNT_MISSING"
    assert set_account(stripe_backend, "acct_good").error == ""
    assert pay_out(stripe_backend, 100).error == ""
    stripe_backend.settle()

    assert [(transfer["destination"], transfer["amount"]) for transfer in double.transfers] == [("acct_good", 10000)]
    assert stripe_backend.balance() == (0, 350, 100)


def test_a_payout_above_stripes_balance_waits_for_minutes_and_goes_under_a_new_key(
    stripe_backend: OrderBackend, double: StripeDouble
) -> None:
    completed(stripe_backend, card=CARD)
    set_account(stripe_backend, "acct_good")
    double.balance = 0
    payout = pay_out(stripe_backend, 100).response.payout_id

    delays = []
    for _ in range(2):
        with pytest.raises(PutOff) as refusal:
            send(stripe_backend, payout)
        delays.append(refusal.value.delay)
    assert shown_payout(stripe_backend, payout) == ("PENDING", NOT_COVERED)
    double.balance = 10_000
    send(stripe_backend, payout)

    assert delays == [FIRST_DELAY, 2 * FIRST_DELAY]
    assert shown_payout(stripe_backend, payout) == ("PAID", "")
    assert [transfer["amount"] for transfer in double.transfers] == [10_000]
    assert stripe_backend.balance() == (0, 350, 100)
