"""The behaviour that every payment gateway has in common."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from order_service.payments.gateway import (
    AlreadyCapturedError,
    ConfirmationNeededError,
    Declined,
    Gateway,
    ProviderPayment,
    Purchase,
)
from order_service.payments.instrumented import InstrumentedGateway
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.gateway import Sandbox
from order_service.payments.stripe.gateway import StripeGateway
from servicekit.database import Database
from servicekit.errors import InvalidArgument, Unavailable
from servicekit.ids import new_id
from tests.support.stripe_double import StripeDouble


@dataclass
class Provider:
    """A provider and its test cards: one that works, and those that are declined, need confirmation or are unknown."""

    gateway: Gateway
    good: str
    declined: str
    confirm: str
    unknown: str
    # The buyer confirms a payment, or fails to.
    confirm_payment: Callable[[UUID, ConfirmationNeededError], object]
    refuse_confirmation: Callable[[UUID, ConfirmationNeededError], object]
    # localstripe captures a canceled payment, and has no idempotency keys.
    is_complete: bool = True

    def purchase(self, card: str | None = None, **changes: Any) -> Purchase:
        purchase = Purchase(new_id(), new_id(), Decimal("19.99"), "USD", self.good if card is None else card)
        return replace(purchase, **changes)

    def payment(self, order_id: UUID) -> ProviderPayment:
        (payment,) = [payment for payment in self.gateway.list_payments() if payment.order_id == order_id]
        return payment


def localstripe_provider(url: str) -> Provider:
    """Return a provider whose cards are created by number, through localstripe's API."""

    def card(number: str) -> str:
        fields = {
            "type": "card",
            "card[number]": number,
            "card[exp_month]": 12,
            "card[exp_year]": 2040,
            "card[cvc]": 123,
        }
        response = httpx.post(f"{url}/v1/payment_methods", data=fields, auth=("sk_test_1", ""))
        return str(response.json()["id"])

    def authenticate(needed: ConfirmationNeededError, *, success: bool) -> None:
        fields = {"client_secret": needed.client_secret, "success": success, "key": "pk_test_1"}
        path = f"/v1/payment_intents/{needed.reference}/_authenticate"
        httpx.post(url + path, data=fields).raise_for_status()

    gateway = StripeGateway("sk_test_1", "USD", url)
    return Provider(
        gateway,
        card("4242424242424242"),
        card("4000000000000341"),
        card("4000002500003155"),
        "pm_nobody",
        lambda order_id, needed: authenticate(needed, success=True),
        lambda order_id, needed: authenticate(needed, success=False),
        is_complete=False,
    )


def double_provider(double: StripeDouble) -> Provider:
    gateway = StripeGateway("sk_test_1", "USD", double.url)
    confirm = "pm_card_authenticationRequired"
    return Provider(
        gateway,
        "pm_card_visa",
        "pm_card_chargeDeclined",
        confirm,
        "pm_nobody",
        lambda order_id, needed: double.confirm(needed.reference),
        lambda order_id, needed: double.refuse_confirmation(needed.reference),
    )


def sandbox_provider(database: Database) -> Provider:
    sandbox = Sandbox(database)
    return Provider(
        sandbox,
        "",
        scenarios.DECLINED,
        scenarios.CONFIRM_NEVER,
        "sandbox_nobody",
        lambda order_id, needed: sandbox.confirm(order_id),
        lambda order_id, needed: sandbox.confirm(order_id, refused=True),
    )


@pytest.fixture(params=["sandbox", "localstripe", "double"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    match request.param:
        case "sandbox":
            bare = sandbox_provider(request.getfixturevalue("sandbox_database"))
        case "localstripe":
            bare = localstripe_provider(request.getfixturevalue("localstripe"))
        case _:
            bare = double_provider(request.getfixturevalue("double"))
    # Instrumented, as OrderService uses it.
    yield replace(bare, gateway=InstrumentedGateway(bare.gateway))


def test_an_authorization_captures_nothing(provider: Provider) -> None:
    purchase = provider.purchase()

    authorization = provider.gateway.authorize(purchase)

    payment = provider.payment(purchase.order_id)
    assert (payment.reference, payment.authorized, payment.captured) == (
        authorization.reference,
        Decimal("19.99"),
        Decimal(0),
    )
    assert timedelta(days=6) < authorization.valid_for <= timedelta(days=7)


def test_a_repeated_capture_takes_the_amount_once(provider: Provider) -> None:
    purchase = provider.purchase()
    authorization = provider.gateway.authorize(purchase)

    provider.gateway.capture(purchase.order_id, authorization.reference, purchase.amount)
    provider.gateway.capture(purchase.order_id, authorization.reference, purchase.amount)

    payment = provider.payment(purchase.order_id)
    assert (payment.authorized, payment.captured, payment.refunded) == (Decimal(0), Decimal("19.99"), Decimal(0))


def test_a_voided_authorization_is_released_and_cannot_be_captured(provider: Provider) -> None:
    purchase = provider.purchase()
    authorization = provider.gateway.authorize(purchase)

    provider.gateway.void(purchase.order_id, authorization.reference)
    provider.gateway.void(purchase.order_id, authorization.reference)

    assert provider.payment(purchase.order_id).authorized == 0
    if not provider.is_complete:
        return
    with pytest.raises(Declined):
        provider.gateway.capture(purchase.order_id, authorization.reference, purchase.amount)


@pytest.mark.parametrize("amount", ["19.99", "0.01", "7.30"])
def test_a_repeated_refund_is_made_once(provider: Provider, amount: str) -> None:
    purchase = provider.purchase()
    authorization = provider.gateway.authorize(purchase)
    provider.gateway.capture(purchase.order_id, authorization.reference, purchase.amount)

    for _ in range(3):
        provider.gateway.refund(purchase.order_id, authorization.reference, Decimal(amount))

    payment = provider.payment(purchase.order_id)
    assert (payment.captured, payment.refunded) == (Decimal("19.99"), Decimal(amount))


def test_a_declined_card_is_refused_and_nothing_is_authorized(provider: Provider) -> None:
    purchase = provider.purchase(provider.declined)

    with pytest.raises(Declined):
        provider.gateway.authorize(purchase)

    assert all(
        payment.authorized == 0 for payment in provider.gateway.list_payments() if payment.order_id == purchase.order_id
    )


def waiting(provider: Provider) -> tuple[Purchase, ConfirmationNeededError]:
    """Return a purchase whose card waits for the buyer's confirmation."""
    purchase = provider.purchase(provider.confirm)
    with pytest.raises(ConfirmationNeededError) as needed:
        provider.gateway.authorize(purchase)
    return purchase, needed.value


def reserved(provider: Provider, order_id: UUID) -> Decimal:
    """Return the amount that the provider has reserved for an order."""
    return sum((each.authorized for each in provider.gateway.list_payments() if each.order_id == order_id), Decimal(0))


def test_a_card_that_wants_confirmation_reserves_nothing_and_keeps_its_secret(provider: Provider) -> None:
    purchase, needed = waiting(provider)

    with pytest.raises(ConfirmationNeededError) as again:
        provider.gateway.authorize(replace(purchase, reference=needed.reference))

    assert needed.client_secret
    assert needed.client_secret not in str(needed)
    assert (again.value.reference, again.value.client_secret) == (needed.reference, needed.client_secret)
    assert reserved(provider, purchase.order_id) == 0


@pytest.mark.parametrize("is_reference_known", [True, False], ids=["reference", "no reference"])
def test_a_confirmed_payment_is_authorized(provider: Provider, is_reference_known: bool) -> None:
    if not (is_reference_known or provider.is_complete):
        pytest.skip("the provider has no idempotency keys")
    purchase, needed = waiting(provider)

    provider.confirm_payment(purchase.order_id, needed)
    known = replace(purchase, reference=needed.reference) if is_reference_known else purchase
    authorization = provider.gateway.authorize(known)

    assert authorization.reference == needed.reference
    assert reserved(provider, purchase.order_id) == purchase.amount


def test_a_payment_whose_confirmation_was_refused_is_declined_and_closed(provider: Provider) -> None:
    purchase, needed = waiting(provider)

    provider.refuse_confirmation(purchase.order_id, needed)
    for _ in range(2):
        with pytest.raises(Declined):
            provider.gateway.authorize(replace(purchase, reference=needed.reference))

    assert reserved(provider, purchase.order_id) == 0


@pytest.mark.parametrize("is_confirmed", [True, False], ids=["confirmed", "not confirmed"])
def test_an_abandoned_confirmation_reserves_nothing_any_more(provider: Provider, is_confirmed: bool) -> None:
    purchase, needed = waiting(provider)
    purchase = replace(purchase, reference=needed.reference)
    if is_confirmed:
        provider.confirm_payment(purchase.order_id, needed)

    provider.gateway.abandon(purchase)
    provider.gateway.abandon(purchase)

    assert reserved(provider, purchase.order_id) == 0
    with pytest.raises(Declined):
        provider.gateway.authorize(purchase)


@pytest.mark.parametrize("is_first", [True, False], ids=["before authorize", "after authorize"])
def test_an_abandoned_purchase_reserves_nothing_whenever_its_authorization_arrives(
    provider: Provider, is_first: bool
) -> None:
    if not provider.is_complete:
        pytest.skip("the provider has no idempotency keys")
    purchase = provider.purchase()
    if not is_first:
        provider.gateway.authorize(purchase)

    provider.gateway.abandon(purchase)
    with contextlib.suppress(Declined, Unavailable):
        provider.gateway.authorize(purchase)
    provider.gateway.abandon(purchase)

    assert reserved(provider, purchase.order_id) == 0


def test_a_captured_payment_can_be_neither_voided_nor_abandoned(provider: Provider) -> None:
    purchase = provider.purchase()
    reference = provider.gateway.authorize(purchase).reference
    provider.gateway.capture(purchase.order_id, reference, purchase.amount)
    if not provider.is_complete:
        pytest.skip("the provider cancels a captured payment")

    with pytest.raises(AlreadyCapturedError):
        provider.gateway.void(purchase.order_id, reference)
    with pytest.raises(AlreadyCapturedError):
        provider.gateway.abandon(replace(purchase, reference=reference))

    assert provider.payment(purchase.order_id).captured == purchase.amount


def test_an_unknown_card_is_named(provider: Provider) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        provider.gateway.authorize(provider.purchase(provider.unknown))

    assert [violation.field for violation in refusal.value.violations] == ["paymentToken"]


def test_the_list_of_payments_is_complete_over_its_pages(provider: Provider) -> None:
    purchases = [provider.purchase() for _ in range(120)]
    for purchase in purchases:
        provider.gateway.authorize(purchase)

    listed = [payment.order_id for payment in provider.gateway.list_payments()]

    assert {purchase.order_id for purchase in purchases} <= set(listed)
    assert len(listed) == len(set(listed))
