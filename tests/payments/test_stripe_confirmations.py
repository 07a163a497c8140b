"""Confirmations by the buyer at Stripe, and purchases that are abandoned."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from order_service.payments.gateway import (
    ConfirmationNeededError,
    Declined,
)
from order_service.payments.stripe.gateway import StripeGateway
from servicekit.errors import Unavailable
from tests.payments.stripe_calls import purchase
from tests.support.stripe_double import StripeDouble


@pytest.mark.parametrize("lost", [None, "before the work", "after the work", "a kept fault"])
def test_an_abandoned_purchase_has_no_payment_whatever_became_of_its_request(
    stripe: StripeGateway, double: StripeDouble, lost: str | None
) -> None:
    new_purchase = purchase()
    if lost:
        double.fail("payment_intents$", 500, after=lost != "before the work", is_kept=lost == "a kept fault")
        with pytest.raises(Unavailable):
            stripe.authorize(new_purchase)

    stripe.abandon(new_purchase)

    assert {intent["status"] for intent in double.intents.values()} == {"canceled"}


def test_an_authorization_that_arrives_after_the_purchase_was_abandoned_is_never_made(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    new_purchase = purchase()
    stripe.abandon(new_purchase)

    with pytest.raises(Unavailable):
        stripe.authorize(new_purchase)

    assert [intent["latest_charge"] for intent in double.intents.values()] == [None]
    assert {intent["status"] for intent in double.intents.values()} == {"canceled"}


def test_a_purchase_cannot_be_abandoned_while_its_authorization_is_under_way(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    new_purchase = purchase()
    double.hold_key(f"{new_purchase.order_id}:authorize")

    with pytest.raises(Unavailable):
        stripe.abandon(new_purchase)
    double.forget_keys()
    stripe.abandon(new_purchase)

    assert {intent["status"] for intent in double.intents.values()} == {"canceled"}


@pytest.mark.parametrize("fault", ["payment_intents$", "/cancel"])
def test_abandoning_is_repeated_until_the_payment_is_canceled(
    stripe: StripeGateway, double: StripeDouble, fault: str
) -> None:
    new_purchase = purchase()
    stripe.authorize(new_purchase)
    double.fail(fault, 503)

    with pytest.raises(Unavailable):
        stripe.abandon(new_purchase)
    stripe.abandon(new_purchase)
    stripe.abandon(new_purchase)

    assert [intent["status"] for intent in double.intents.values()] == ["canceled"]


def test_a_purchase_that_stripe_does_not_take_can_be_abandoned(stripe: StripeGateway, double: StripeDouble) -> None:
    stripe.abandon(purchase(amount=Decimal("0.01")))

    assert double.intents == {}


def test_abandoning_does_not_touch_the_payments_of_other_orders(stripe: StripeGateway, double: StripeDouble) -> None:
    others = [stripe.authorize(purchase()).reference for _ in range(120)]
    abandoned = purchase()
    stripe.authorize(abandoned)

    stripe.abandon(abandoned)

    assert {double.intents[reference]["status"] for reference in others} == {"requires_capture"}


def test_a_purchase_whose_key_stripe_may_have_forgotten_is_abandoned_by_the_search(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    made, never_made = purchase(), purchase(age=timedelta(days=2))
    stripe.authorize(made)
    double.forget_keys()

    stripe.abandon(replace(made, age=timedelta(days=2)))
    stripe.abandon(never_made)

    assert [intent["status"] for intent in double.intents.values()] == ["canceled"]


def test_a_confirmation_is_made_for_stripe_js_and_its_present_status_is_asked_for(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    new_purchase = purchase("pm_card_authenticationRequired")

    with pytest.raises(ConfirmationNeededError) as needed:
        stripe.authorize(new_purchase)

    _, _, params, _ = double.calls[0]
    assert (params["use_stripe_sdk"], params["payment_method_types"]) == ("true", {"0": "card"})
    double.confirm(needed.value.reference)
    # Without the reference the request is repeated, and Stripe repeats its first response.
    assert stripe.authorize(new_purchase).reference == needed.value.reference


def test_a_refused_confirmation_cancels_the_payment_so_that_no_other_card_can_pay_it(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    new_purchase = purchase("pm_card_authenticationRequired")
    with pytest.raises(ConfirmationNeededError) as needed:
        stripe.authorize(new_purchase)
    double.refuse_confirmation(needed.value.reference)
    known = replace(new_purchase, reference=needed.value.reference)
    double.fail("/cancel", 503)

    with pytest.raises(Unavailable):
        stripe.authorize(known)
    with pytest.raises(Declined):
        stripe.authorize(known)

    assert double.intents[needed.value.reference]["status"] == "canceled"
