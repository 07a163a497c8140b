"""The gateway to Stripe, beyond the behaviour of every gateway, on the double with idempotency keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from stripe import InvalidRequestError

from order_service.domain.chargeback import ChargebackState
from order_service.domain.refund import RefundState
from order_service.payments.gateway import (
    Declined,
    PaymentReport,
    PayoutRefusedError,
    ProviderEvent,
    ProviderPayment,
    Purchase,
    RefundNotMadeError,
    RefundRefusedError,
    RefundRequest,
    Transfer,
    TransferReport,
)
from order_service.payments.stripe.gateway import StripeGateway
from servicekit.call import Call, current_call
from servicekit.errors import InvalidArgument, Unavailable
from servicekit.ids import new_id
from tests.support.stripe_double import StripeDouble

PRICE = Decimal("19.99")
EPOCH, FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def stripe(double: StripeDouble) -> StripeGateway:
    return StripeGateway("sk_test_1", "USD", double.url)


def purchase(card: str = "pm_card_visa", **changes: Any) -> Purchase:
    return replace(Purchase(new_id(), new_id(), PRICE, "USD", card), **changes)


def transfer(destination: str = "acct_good", amount: Decimal = PRICE) -> Transfer:
    return Transfer(new_id(), amount, "USD", destination)


def captured(stripe: StripeGateway) -> tuple[UUID, str]:
    """Capture a payment. Return its order and Stripe's reference."""
    new_purchase = purchase()
    reference = stripe.authorize(new_purchase).reference
    stripe.capture(new_purchase.order_id, reference, PRICE)
    return new_purchase.order_id, reference


def a_request(payment: tuple[UUID, str], amount: Decimal = PRICE) -> RefundRequest:
    return RefundRequest(new_id(), *payment, amount)


def payments(stripe: StripeGateway) -> list[ProviderPayment]:
    return list(stripe.list_payments(EPOCH, FUTURE))


def idempotency_keys(double: StripeDouble, path: str) -> list[str]:
    return [key for method, called, _, key in double.calls if method == "POST" and called.endswith(path)]


def test_idempotency_keys_are_made_of_our_own_ids(stripe: StripeGateway, double: StripeDouble) -> None:
    order, reference = captured(stripe)
    refund = a_request((order, reference))
    stripe.refund(refund)
    paid = transfer()
    stripe.pay_out(paid)

    assert idempotency_keys(double, "/payment_intents") == [f"{order}:authorize"]
    assert idempotency_keys(double, "/capture") == [f"{order}:capture"]
    assert idempotency_keys(double, "/refunds") == [f"{refund.id}:refund"]
    assert idempotency_keys(double, "/transfers") == [f"{paid.payout_id}:pay_out"]


def test_an_authorization_is_requested_with_amount_currency_and_order(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    new_purchase = purchase()

    stripe.authorize(new_purchase)

    _, _, params, _ = double.calls[0]
    assert (params["amount"], params["currency"], params["capture_method"]) == ("1999", "usd", "manual")
    assert params["metadata"]["order_id"] == str(new_purchase.order_id)


@pytest.mark.parametrize("after", [False, True], ids=["before the work", "after the work"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_authorization_with_an_unknown_outcome_is_made_once_however_often_it_is_repeated(
    stripe: StripeGateway, double: StripeDouble, status: int, after: bool
) -> None:
    new_purchase = purchase()
    double.fail("payment_intents$", status, after=after)

    with pytest.raises(Unavailable):
        stripe.authorize(new_purchase)
    stripe.authorize(new_purchase)
    stripe.authorize(new_purchase)

    assert len(double.intents) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before the work", "after the work"])
@pytest.mark.parametrize(
    ("path", "do"),
    [
        ("/capture", lambda stripe, order, reference: stripe.capture(order, reference, PRICE)),
        ("/refunds", lambda stripe, order, reference: stripe.refund(RefundRequest(order, order, reference, PRICE))),
        ("/cancel", lambda stripe, order, reference: stripe.void(order, reference)),
    ],
    ids=["capture", "refund", "void"],
)
def test_an_operation_with_an_unknown_outcome_is_done_once(
    stripe: StripeGateway, double: StripeDouble, path: str, do: Callable[..., None], after: bool
) -> None:
    new_purchase = purchase()
    reference = stripe.authorize(new_purchase).reference
    if path == "/refunds":
        stripe.capture(new_purchase.order_id, reference, PRICE)
    double.fail(path, 500, method="POST", after=after)

    # A payment shows whether it was captured or canceled, but not which refunds it has.
    is_known = after and path != "/refunds"
    with nullcontext() if is_known else pytest.raises(Unavailable):
        do(stripe, new_purchase.order_id, reference)
    double.forget_keys()
    do(stripe, new_purchase.order_id, reference)
    do(stripe, new_purchase.order_id, reference)

    assert double.intents[reference]["status"] == ("canceled" if path == "/cancel" else "succeeded")
    assert [refund["amount"] for refund in double.refunds] == ([1999] if path == "/refunds" else [])


def test_a_payment_whose_key_stripe_has_forgotten_is_searched(stripe: StripeGateway, double: StripeDouble) -> None:
    new_purchase = purchase()
    reference = stripe.authorize(new_purchase).reference
    double.forget_keys()

    again = stripe.authorize(replace(new_purchase, age=timedelta(days=2)))

    assert again.reference == reference
    assert len(double.intents) == 1
    assert stripe.authorize(purchase(age=timedelta(days=2))).reference != reference


def test_a_payout_is_paid_once_when_stripe_has_forgotten_the_key(stripe: StripeGateway, double: StripeDouble) -> None:
    new_transfer = transfer()
    double.fail("transfers$", 500, after=True)

    with pytest.raises(Unavailable):
        stripe.pay_out(new_transfer)
    double.forget_keys()
    first, second = stripe.pay_out(new_transfer), stripe.pay_out(new_transfer)

    assert first == second == double.transfers[0]["id"]
    assert [made_transfer["amount"] for made_transfer in double.transfers] == [1999]
    assert list(stripe.list_transfers(EPOCH, FUTURE)) == [TransferReport(new_transfer.payout_id, PRICE, Decimal(0))]


@pytest.mark.parametrize("destination", ["acct_nobody", "acct_new"])
def test_a_payout_to_an_unusable_account_is_refused_for_good(stripe: StripeGateway, destination: str) -> None:
    with pytest.raises(PayoutRefusedError):
        stripe.pay_out(transfer(destination))


def test_an_unusable_account_is_named(stripe: StripeGateway) -> None:
    stripe.check_destination("acct_good")
    for destination in ("acct_nobody", "acct_new"):
        with pytest.raises(InvalidArgument) as refusal:
            stripe.check_destination(destination)
        assert [violation.field for violation in refusal.value.violations] == ["destination"]


@pytest.mark.parametrize("after", [False, True], ids=["before the work", "after the work"])
@pytest.mark.parametrize(("path", "state"), [("/capture", "succeeded"), ("/cancel", "canceled")])
def test_a_payment_changes_although_stripe_repeats_a_fault_for_the_key(
    stripe: StripeGateway, double: StripeDouble, path: str, state: str, after: bool
) -> None:
    new_purchase = purchase()
    reference = stripe.authorize(new_purchase).reference
    double.fail(path, 500, after=after, is_kept=True)

    def operate() -> None:
        if path == "/capture":
            stripe.capture(new_purchase.order_id, reference, PRICE)
        else:
            stripe.void(new_purchase.order_id, reference)

    if after:
        operate()
    else:
        with pytest.raises(Unavailable):
            operate()
    operate()
    operate()

    assert double.intents[reference]["status"] == state


def test_an_authorization_is_found_although_stripe_repeats_a_fault_for_the_key(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    new_purchase = purchase()
    double.fail("payment_intents$", 500, after=True, is_kept=True)
    with pytest.raises(Unavailable):
        stripe.authorize(new_purchase)

    authorization = stripe.authorize(new_purchase)

    assert list(double.intents) == [authorization.reference]


def test_a_failed_authorization_whose_fault_stripe_repeats_is_made_when_the_key_is_forgotten(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    new_purchase = purchase()
    double.fail("payment_intents$", 500, is_kept=True)
    for _ in range(2):
        with pytest.raises(Unavailable):
            stripe.authorize(new_purchase)
    double.forget_keys()

    stripe.authorize(replace(new_purchase, age=timedelta(days=2)))

    assert len(double.intents) == 1


def test_the_outcome_of_a_processing_payment_is_unknown_until_it_is_authorized(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    new_purchase = purchase("pm_card_processing")
    with pytest.raises(Unavailable):
        stripe.authorize(new_purchase)
    (intent,) = double.intents.values()
    intent["status"] = "requires_capture"

    assert stripe.authorize(new_purchase).reference == intent["id"]


def test_an_inquiry_is_no_chargeback_until_it_takes_money(stripe: StripeGateway, double: StripeDouble) -> None:
    payment = captured(stripe)
    dispute = double.dispute(payment[1], "warning_under_review")
    assert stripe.look_up(*payment).chargebacks == ()

    double.move_dispute(dispute["id"], "needs_response")

    (chargeback,) = stripe.look_up(*payment).chargebacks
    assert (chargeback.id, chargeback.state) == (dispute["id"], ChargebackState.NEEDS_RESPONSE)


def test_a_lost_dispute_of_which_a_part_came_back_stays_lost(stripe: StripeGateway, double: StripeDouble) -> None:
    payment = captured(stripe)
    dispute = double.dispute(payment[1])
    double.move_dispute(dispute["id"], "lost")
    dispute["balance_transactions"].append({"id": "txn_part", "amount": 500, "fee": 0, "currency": "usd"})

    assert [each.state for each in stripe.look_up(*payment).chargebacks] == [ChargebackState.LOST]


def test_a_payment_without_refunds_and_disputes_costs_no_call_of_its_own(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    for _ in range(3):
        captured(stripe)
    double.calls.clear()

    reports = [payment.report for payment in payments(stripe)]

    assert [len(report.fees) for report in reports] == [1, 1, 1]
    assert [path for _, path, _, _ in double.calls] == ["/v1/payment_intents"]


def test_more_refunds_than_an_expanded_charge_lists_are_all_found(stripe: StripeGateway) -> None:
    payment = captured(stripe)
    for _ in range(12):
        stripe.refund(a_request(payment, Decimal("1.00")))

    assert len(stripe.look_up(*payment).refunds) == 12


def test_a_refund_of_the_time_of_one_refund_for_each_order_has_the_orders_id(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    payment = captured(stripe)
    double.refund_by_hand(payment[1], 500)["metadata"] = {"order_id": str(payment[0])}

    assert [refund.refund_id for refund in stripe.look_up(*payment).refunds] == [payment[0]]


def test_a_fee_in_another_currency_is_left_out(stripe: StripeGateway, double: StripeDouble) -> None:
    payment = captured(stripe)
    double.intents[payment[1]]["latest_charge"]["balance_transaction"]["currency"] = "eur"

    assert stripe.look_up(*payment).fees == ()


def test_a_refund_that_stripes_balance_does_not_cover_is_pending(stripe: StripeGateway, double: StripeDouble) -> None:
    payment = captured(stripe)
    double.balance = 1998

    refund = stripe.refund(a_request(payment))

    assert refund.state is RefundState.PENDING


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", RefundState.PENDING),
        ("requires_action", RefundState.REQUIRES_ACTION),
        ("canceled", RefundState.FAILED),
        ("failed", RefundState.FAILED),
    ],
)
def test_a_refund_has_the_state_of_its_status(
    stripe: StripeGateway, double: StripeDouble, status: str, state: RefundState
) -> None:
    payment = captured(stripe)
    request = a_request(payment)
    double.move_refund(stripe.refund(request).id, status)

    assert stripe.refund(request).state is state


@pytest.mark.parametrize("code", ["balance_insufficient", "insufficient_funds", "charge_disputed", "amount_too_large"])
def test_a_refund_that_stripe_refuses_for_a_cause_that_mends_itself_can_be_made_later(
    stripe: StripeGateway, double: StripeDouble, code: str
) -> None:
    payment = captured(stripe)
    double.fail("/refunds", 400, method="POST", kind="invalid_request_error", code=code)

    with pytest.raises(RefundNotMadeError) as not_made:
        stripe.refund(a_request(payment))

    assert timedelta(minutes=1) <= not_made.value.delay <= timedelta(hours=1)
    assert code not in not_made.value.reason
    assert stripe.refund(a_request(payment)).state is RefundState.SUCCEEDED


def test_a_refund_that_stripe_refuses_for_any_other_cause_is_refused_for_good(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    payment = captured(stripe)
    double.fail("/refunds", 400, method="POST", kind="invalid_request_error", code="charge_not_refundable")

    with pytest.raises(RefundRefusedError, match="charge_not_refundable"):
        stripe.refund(a_request(payment))


def test_a_refund_of_a_payment_that_stripe_does_not_know_is_tried_again_later(stripe: StripeGateway) -> None:
    with pytest.raises(RefundNotMadeError):
        stripe.refund(a_request((new_id(), "pi_elsewhere")))
    with pytest.raises(Unavailable):
        stripe.look_up(new_id(), "pi_elsewhere")


@pytest.mark.parametrize("after", [False, True], ids=["before the work", "after the work"])
def test_a_refund_whose_fault_stripe_repeats_is_found_or_was_not_made(
    stripe: StripeGateway, double: StripeDouble, after: bool
) -> None:
    payment = captured(stripe)
    request = a_request(payment)
    double.fail("/refunds", 500, method="POST", after=after, is_kept=True)
    with pytest.raises(Unavailable):
        stripe.refund(request)

    if after:
        assert stripe.refund(request).refund_id == request.id
    else:
        with pytest.raises(RefundNotMadeError):
            stripe.refund(request)
        stripe.refund(a_request(payment))

    assert [refund["amount"] for refund in double.refunds] == [1999]


def test_a_price_above_stripes_maximum_is_named(stripe: StripeGateway) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        stripe.authorize(purchase(amount=Decimal(1_000_000)))

    assert [violation.field for violation in refusal.value.violations] == ["packageId"]


def test_an_authorization_that_stripe_calls_invalid_is_refused_for_good(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    double.fail("payment_intents$", 400, kind="invalid_request_error")

    with pytest.raises(Declined):
        stripe.authorize(purchase())


def test_a_request_ends_with_the_deadline_of_its_call(stripe: StripeGateway, double: StripeDouble) -> None:
    double.slowness = 1.5

    def in_a_call() -> None:
        current_call.set(Call(deadline=time.monotonic() + 0.5))
        stripe.authorize(purchase())

    with pytest.raises(Unavailable):
        copy_context().run(in_a_call)

    # Background work has no deadline.
    stripe.authorize(purchase())


def test_a_refund_of_a_charged_back_payment_is_not_made(stripe: StripeGateway, double: StripeDouble) -> None:
    payment = captured(stripe)
    double.dispute(payment[1])

    with pytest.raises(RefundNotMadeError) as not_made:
        stripe.refund(a_request(payment))

    assert not_made.value.delay == timedelta(hours=1)
    (listed,) = payments(stripe)
    assert (listed.captured, listed.report.refunds) == (PRICE, ())
    assert [(each.amount, each.state) for each in listed.report.chargebacks] == [
        (PRICE, ChargebackState.NEEDS_RESPONSE)
    ]


def test_an_expired_authorization_cannot_be_captured(stripe: StripeGateway) -> None:
    new_purchase = purchase("pm_card_expires")
    reference = stripe.authorize(new_purchase).reference

    with pytest.raises(Declined):
        stripe.capture(new_purchase.order_id, reference, PRICE)


def test_a_capture_of_another_accounts_payment_is_an_error_and_no_refusal(stripe: StripeGateway) -> None:
    with pytest.raises(InvalidRequestError):
        stripe.capture(new_id(), "pi_elsewhere", PRICE)


def test_a_price_below_stripes_minimum_is_named(stripe: StripeGateway) -> None:
    assert stripe.minimum == Decimal("0.50")
    with pytest.raises(InvalidArgument) as refusal:
        stripe.authorize(purchase(amount=Decimal("0.49")))

    assert [violation.field for violation in refusal.value.violations] == ["packageId"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_api_key_is_unavailable_and_shows_clients_nothing(
    stripe: StripeGateway, double: StripeDouble, status: int
) -> None:
    double.fail("payment_intents", status)

    with pytest.raises(Unavailable):
        stripe.authorize(purchase())


def test_an_unreachable_stripe_is_unavailable() -> None:
    gateway = StripeGateway("sk_test_1", "USD", "http://127.0.0.1:1")

    with pytest.raises(Unavailable):
        gateway.authorize(purchase())


def test_a_token_of_the_older_kind_is_accepted(stripe: StripeGateway, double: StripeDouble) -> None:
    stripe.authorize(purchase("tok_visa"))

    assert len(double.intents) == 1
    with pytest.raises(Declined, match=r"Your card was declined\."):
        stripe.authorize(purchase("tok_chargeDeclined"))


class Cursor:
    """The time until which Stripe was polled, in memory."""

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at

    def polled_until(self) -> datetime | None:
        return self.at

    def set_polled_until(self, at: datetime) -> None:
        self.at = at


def polled(double: StripeDouble, cursor: Cursor) -> list[ProviderEvent]:
    """Poll as a worker that has just started."""
    return list(StripeGateway("sk_test_1", "USD", double.url).events.poll(cursor))


def test_events_whose_webhooks_were_lost_are_polled(stripe: StripeGateway, double: StripeDouble) -> None:
    _, reference = captured(stripe)
    dispute = double.dispute(reference, amount=500)
    double.refund_by_hand(reference, 100)
    cursor = Cursor()

    events = polled(double, cursor)

    ids = {event["id"] for event in double.events if event["type"] != "charge.refunded"}
    assert {event.event_id for event in events} == ids
    reports = [event.report for event in events]
    assert {report.reference for report in reports if isinstance(report, PaymentReport)} == {reference}
    assert {each.id for report in reports if isinstance(report, PaymentReport) for each in report.chargebacks} == {
        dispute["id"]
    }
    assert cursor.at is not None
    assert datetime.now(UTC) - cursor.at < timedelta(minutes=1)


def test_stripe_is_polled_once_a_minute_and_for_the_time_since_the_last_poll(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    double.refund_by_hand(captured(stripe)[1], 100)
    cursor = Cursor(datetime.now(UTC) - timedelta(seconds=50))
    assert polled(double, cursor) == []

    cursor.at = datetime.now(UTC) - timedelta(minutes=2)
    assert len(polled(double, cursor)) == 1
    # Another worker has polled a moment ago; this one has not, and the cursor is shared.
    assert polled(double, cursor) == []

    cursor.at = datetime.now(UTC) - timedelta(hours=2)
    double.events[0]["created"] -= 5 * 3600
    assert polled(double, cursor) == []


def test_a_poll_that_fails_goes_on_where_it_was(stripe: StripeGateway, double: StripeDouble) -> None:
    start = datetime.now(UTC) - timedelta(hours=13)
    cursor = Cursor(start)
    poll = iter(StripeGateway("sk_test_1", "USD", double.url).events.poll(cursor))
    double.refund_by_hand(captured(stripe)[1], 100)
    double.events[0]["created"] -= 2 * 3600
    assert next(poll).report == stripe_report(stripe, double)
    double.fail("/events", 500)

    with pytest.raises(Unavailable):
        next(poll)

    assert cursor.at is not None
    assert start < cursor.at < datetime.now(UTC) - timedelta(hours=1)


def stripe_report(stripe: StripeGateway, double: StripeDouble) -> PaymentReport:
    """Return the report of the only refund, without the rest of its payment."""
    (refund,) = double.refunds
    return PaymentReport(refund["payment_intent"], stripe.look_up(new_id(), refund["payment_intent"]).refunds)
