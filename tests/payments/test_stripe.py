"""The gateway to Stripe, beyond the behaviour of every gateway, on the double with idempotency keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from stripe import InvalidRequestError

from order_service.payments.gateway import (
    Declined,
    PayoutRefusedError,
    RefundRequest,
    TransferReport,
)
from order_service.payments.stripe.gateway import StripeGateway
from servicekit.call import Call, current_call
from servicekit.errors import InvalidArgument, Unavailable
from servicekit.ids import new_id
from tests.payments.stripe_calls import EPOCH, FUTURE, PRICE, a_request, captured, purchase, transfer
from tests.support.stripe_double import StripeDouble


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
    # Stripe calls the release of an authorization a refund as well.
    assert [refund["amount"] for refund in double.refunds] == ([] if path == "/capture" else [1999])


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
    assert list(stripe.list_transfers(EPOCH, FUTURE)) == [
        TransferReport(new_transfer.payout_id, PRICE, Decimal(0), first)
    ]


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
