"""Stripe beyond what every provider does, against the double that keeps a book and honours idempotency keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from order_service.payments.gateway import ChargedBackError, Declined, PayoutRefusedError, Purchase, Transfer
from order_service.payments.stripe_gateway import StripeGateway
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
    """An order's payment that was taken: the order, and Stripe's name for the payment."""
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

    with pytest.raises(Unavailable):
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
