"""Stripe beyond what every provider does, against the double that keeps a book and honours idempotency keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from stripe import InvalidRequestError

from order_service.payments.gateway import ChargedBackError, Declined, PayoutRefusedError, Purchase, Transfer
from order_service.payments.stripe.gateway import StripeGateway
from servicekit.call import Call, current_call
from servicekit.errors import InvalidArgument, Unavailable
from servicekit.ids import new_id
from tests.support.stripe_double import StripeDouble

PRICE = Decimal("19.99")


@pytest.fixture
def stripe(double: StripeDouble) -> StripeGateway:
    return StripeGateway("sk_test_1", "USD", double.url)


def purchase(card: str = "pm_card_visa", **changed: Any) -> Purchase:
    return replace(Purchase(new_id(), new_id(), PRICE, "USD", card), **changed)


def transfer(destination: str = "acct_good", amount: Decimal = PRICE) -> Transfer:
    return Transfer(new_id(), amount, "USD", destination)


def captured(stripe: StripeGateway) -> tuple[UUID, str]:
    """Take a payment. Return the order's id and Stripe's name for the payment."""
    wanted = purchase()
    reference = stripe.authorize(wanted).reference
    stripe.capture(wanted.order_id, reference, PRICE)
    return wanted.order_id, reference


def the_key_of(double: StripeDouble, path: str) -> list[str]:
    return [key for method, called, _, key in double.calls if method == "POST" and called.endswith(path)]


def test_our_own_ids_are_handed_on_as_idempotency_keys(stripe: StripeGateway, double: StripeDouble) -> None:
    order, reference = captured(stripe)
    stripe.refund(order, reference, PRICE)
    paid = transfer()
    stripe.pay_out(paid)

    assert the_key_of(double, "/payment_intents") == [f"{order}:authorize"]
    assert the_key_of(double, "/capture") == [f"{order}:capture"]
    assert the_key_of(double, "/refunds") == [f"{order}:refund"]
    assert the_key_of(double, "/transfers") == [f"{paid.payout_id}:pay_out"]


def test_a_payment_is_asked_for_as_the_contract_wants_it(stripe: StripeGateway, double: StripeDouble) -> None:
    wanted = purchase()

    stripe.authorize(wanted)

    _, _, told, _ = double.calls[0]
    assert (told["amount"], told["currency"], told["capture_method"]) == ("1999", "usd", "manual")
    assert told["metadata"]["order_id"] == str(wanted.order_id)


@pytest.mark.parametrize("after", [False, True], ids=["before the work", "after the work"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_payment_that_nobody_knows_about_is_made_once_however_often_it_is_asked_for(
    stripe: StripeGateway, double: StripeDouble, status: int, after: bool
) -> None:
    wanted = purchase()
    double.fail("payment_intents$", status, after=after)

    with pytest.raises(Unavailable):
        stripe.authorize(wanted)
    stripe.authorize(wanted)
    stripe.authorize(wanted)

    assert len(double.intents) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before the work", "after the work"])
@pytest.mark.parametrize(
    ("path", "do"),
    [
        ("/capture", lambda stripe, order, reference: stripe.capture(order, reference, PRICE)),
        ("/refunds", lambda stripe, order, reference: stripe.refund(order, reference, PRICE)),
        ("/cancel", lambda stripe, order, reference: stripe.void(order, reference)),
    ],
    ids=["capture", "refund", "void"],
)
def test_whatever_nobody_knows_about_is_done_once(
    stripe: StripeGateway, double: StripeDouble, path: str, do: Callable[..., None], after: bool
) -> None:
    wanted = purchase()
    reference = stripe.authorize(wanted).reference
    if path == "/refunds":
        stripe.capture(wanted.order_id, reference, PRICE)
    double.fail(path, 500, after=after)

    # Whether a payment was captured or cancelled can be seen in it.
    is_seen = after and path != "/refunds"
    with nullcontext() if is_seen else pytest.raises(Unavailable):
        do(stripe, wanted.order_id, reference)
    double.forget_keys()
    do(stripe, wanted.order_id, reference)
    do(stripe, wanted.order_id, reference)

    assert double.intents[reference]["status"] == ("canceled" if path == "/cancel" else "succeeded")
    assert [refund["amount"] for refund in double.refunds] == ([1999] if path == "/refunds" else [])


def test_a_payment_whose_key_stripe_has_forgotten_is_looked_for(stripe: StripeGateway, double: StripeDouble) -> None:
    wanted = purchase()
    reference = stripe.authorize(wanted).reference
    double.forget_keys()

    again = stripe.authorize(replace(wanted, age=timedelta(days=2)))

    assert again.reference == reference
    assert len(double.intents) == 1
    assert stripe.authorize(purchase(age=timedelta(days=2))).reference != reference


def test_a_payout_is_paid_once_also_when_stripe_has_forgotten_the_key(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    wanted = transfer()
    double.fail("transfers$", 500, after=True)

    with pytest.raises(Unavailable):
        stripe.pay_out(wanted)
    double.forget_keys()
    first, second = stripe.pay_out(wanted), stripe.pay_out(wanted)

    assert first == second == double.transfers[0]["id"]
    assert [made["amount"] for made in double.transfers] == [1999]
    assert [line.payout_id for line in stripe.payouts()] == [wanted.payout_id]


@pytest.mark.parametrize("destination", ["acct_nobody", "acct_new"])
def test_a_payout_to_whom_nobody_can_pay_is_refused_for_good(stripe: StripeGateway, destination: str) -> None:
    with pytest.raises(PayoutRefusedError):
        stripe.pay_out(transfer(destination))


def test_a_payout_waits_for_stripes_balance(stripe: StripeGateway, double: StripeDouble) -> None:
    wanted = transfer()
    double.balance = 1998
    with pytest.raises(Unavailable):
        stripe.pay_out(wanted)

    double.balance = 1999
    double.forget_keys()

    assert stripe.pay_out(wanted) == double.transfers[0]["id"]


def test_an_account_is_checked_before_it_is_taken(stripe: StripeGateway) -> None:
    stripe.check_destination("acct_good")
    for destination in ("acct_nobody", "acct_new"):
        with pytest.raises(InvalidArgument) as refusal:
            stripe.check_destination(destination)
        assert [violation.field for violation in refusal.value.violations] == ["destination"]


@pytest.mark.parametrize("after", [False, True], ids=["before the work", "after the work"])
@pytest.mark.parametrize(("path", "state"), [("/capture", "succeeded"), ("/cancel", "canceled")])
def test_a_fault_that_stripe_repeats_for_a_key_does_not_keep_a_payment_where_it_is(
    stripe: StripeGateway, double: StripeDouble, path: str, state: str, after: bool
) -> None:
    wanted = purchase()
    reference = stripe.authorize(wanted).reference
    double.fail(path, 500, after=after, is_kept=True)

    def move() -> None:
        if path == "/capture":
            stripe.capture(wanted.order_id, reference, PRICE)
        else:
            stripe.void(wanted.order_id, reference)

    if after:
        move()
    else:
        with pytest.raises(Unavailable):
            move()
    move()
    move()

    assert double.intents[reference]["status"] == state


def test_a_fault_that_stripe_repeats_for_a_key_does_not_hide_a_payment_that_was_made(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    wanted = purchase()
    double.fail("payment_intents$", 500, after=True, is_kept=True)
    with pytest.raises(Unavailable):
        stripe.authorize(wanted)

    held = stripe.authorize(wanted)

    assert list(double.intents) == [held.reference]


def test_a_payment_that_stripe_repeats_a_fault_for_and_has_not_made_is_made_when_the_key_is_forgotten(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    wanted = purchase()
    double.fail("payment_intents$", 500, is_kept=True)
    for _ in range(2):
        with pytest.raises(Unavailable):
            stripe.authorize(wanted)
    double.forget_keys()

    stripe.authorize(replace(wanted, age=timedelta(days=2)))

    assert len(double.intents) == 1


def test_a_payment_that_stripe_is_still_working_on_is_not_known_yet(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    wanted = purchase("pm_card_processing")
    with pytest.raises(Unavailable):
        stripe.authorize(wanted)
    (intent,) = double.intents.values()
    intent["status"] = "requires_capture"

    assert stripe.authorize(wanted).reference == intent["id"]


def test_a_dispute_that_was_won_is_not_in_the_book_and_an_inquiry_never_was(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    won, asked = captured(stripe), captured(stripe)
    double.dispute(won[1], "won")
    double.dispute(asked[1], "warning_under_review")

    assert {line.charged_back for line in stripe.payments()} == {Decimal(0)}


def test_a_payment_that_was_given_back_by_hand_needs_no_refund(stripe: StripeGateway, double: StripeDouble) -> None:
    order, reference = captured(stripe)
    double.intents[reference]["latest_charge"]["amount_refunded"] = 1999

    stripe.refund(order, reference, PRICE)

    assert double.refunds == []


def test_too_high_a_price_is_named(stripe: StripeGateway) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        stripe.authorize(purchase(amount=Decimal(1_000_000)))

    assert [violation.field for violation in refusal.value.violations] == ["packageId"]


def test_a_payment_that_stripe_cannot_make_sense_of_is_refused_and_not_tried_for_ever(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    double.fail("payment_intents$", 400, kind="invalid_request_error")

    with pytest.raises(Declined):
        stripe.authorize(purchase())


def test_no_request_outlasts_the_call_that_it_is_made_for(stripe: StripeGateway, double: StripeDouble) -> None:
    double.slowness = 1.5

    def in_a_call() -> None:
        current_call.set(Call(deadline=time.monotonic() + 0.5))
        stripe.authorize(purchase())

    with pytest.raises(Unavailable):
        copy_context().run(in_a_call)

    # Nobody waits for what a worker does by itself.
    stripe.authorize(purchase())


def test_a_refund_of_what_the_bank_took_back_is_told_apart(stripe: StripeGateway, double: StripeDouble) -> None:
    order, reference = captured(stripe)
    double.dispute(reference)

    with pytest.raises(ChargedBackError):
        stripe.refund(order, reference, PRICE)

    (line,) = stripe.payments()
    assert (line.captured, line.refunded, line.charged_back) == (PRICE, Decimal(0), PRICE)


def test_a_hold_that_has_ended_cannot_be_captured(stripe: StripeGateway) -> None:
    wanted = purchase("pm_card_expires")
    reference = stripe.authorize(wanted).reference

    with pytest.raises(Declined):
        stripe.capture(wanted.order_id, reference, PRICE)


def test_a_payment_that_another_accounts_key_cannot_see_is_no_refusal_to_capture(stripe: StripeGateway) -> None:
    with pytest.raises(InvalidRequestError):
        stripe.capture(new_id(), "pi_elsewhere", PRICE)


def test_too_small_a_price_is_named_also_where_only_stripe_knows(stripe: StripeGateway) -> None:
    assert stripe.minimum == Decimal("0.50")
    with pytest.raises(InvalidArgument) as refusal:
        stripe.authorize(purchase(amount=Decimal("0.49")))

    assert [violation.field for violation in refusal.value.violations] == ["packageId"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_unavailable_and_tells_clients_nothing(
    stripe: StripeGateway, double: StripeDouble, status: int
) -> None:
    double.fail("payment_intents", status)

    with pytest.raises(Unavailable):
        stripe.authorize(purchase())


def test_a_stripe_that_cannot_be_reached_is_unavailable() -> None:
    nowhere = StripeGateway("sk_test_1", "USD", "http://127.0.0.1:1")

    with pytest.raises(Unavailable):
        nowhere.authorize(purchase())


def test_an_older_kind_of_token_is_a_card_too(stripe: StripeGateway, double: StripeDouble) -> None:
    stripe.authorize(purchase("tok_visa"))

    assert len(double.intents) == 1
    with pytest.raises(Declined, match=r"Your card was declined\."):
        stripe.authorize(purchase("tok_chargeDeclined"))
