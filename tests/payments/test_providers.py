"""What OrderService may rely on, whichever payment provider it runs on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from order_service.payments.gateway import ActionRequired, Declined, Gateway, ProviderPayment, Purchase
from order_service.payments.instrumented import InstrumentedGateway
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.gateway import Sandbox
from order_service.payments.stripe.gateway import StripeGateway
from servicekit.database import Database
from servicekit.errors import InvalidArgument
from servicekit.ids import new_id
from tests.support.stripe_double import StripeDouble


@dataclass
class Provider:
    """A provider with cards of its own: one that works, one that does not, one that wants to be confirmed."""

    gateway: Gateway
    good: str
    declined: str
    confirm: str
    unknown: str
    # localstripe captures what was canceled.
    remembers_voids: bool = True

    def purchase(self, card: str | None = None, **changed: Any) -> Purchase:
        made = Purchase(new_id(), new_id(), Decimal("19.99"), "USD", self.good if card is None else card)
        return replace(made, **changed)

    def line(self, order_id: UUID) -> ProviderPayment:
        (found,) = [line for line in self.gateway.list_payments() if line.order_id == order_id]
        return found


def of_localstripe(url: str) -> Provider:
    """Its cards have numbers, and are made by calls."""

    def card(number: str) -> str:
        told = {"type": "card", "card[number]": number, "card[exp_month]": 12, "card[exp_year]": 2040, "card[cvc]": 123}
        made = httpx.post(f"{url}/v1/payment_methods", data=told, auth=("sk_test_1", ""))
        return str(made.json()["id"])

    gateway = StripeGateway("sk_test_1", "USD", url)
    return Provider(
        gateway, card("4242424242424242"), card("4000000000000341"), card("4000002500003155"), "pm_nobody", False
    )


def of_double(double: StripeDouble) -> Provider:
    gateway = StripeGateway("sk_test_1", "USD", double.url)
    confirm = "pm_card_authenticationRequired"
    return Provider(gateway, "pm_card_visa", "pm_card_chargeDeclined", confirm, "pm_nobody")


@pytest.fixture(params=["sandbox", "localstripe", "double"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    match request.param:
        case "sandbox":
            database: Database = request.getfixturevalue("sandbox_database")
            made = Provider(Sandbox(database), "", scenarios.DECLINED, scenarios.CONFIRM, "sandbox_nobody")
        case "localstripe":
            made = of_localstripe(request.getfixturevalue("localstripe"))
        case _:
            made = of_double(request.getfixturevalue("double"))
    # As OrderService has it.
    yield replace(made, gateway=InstrumentedGateway(made.gateway, threads=4))


def test_what_is_authorised_is_held_and_not_taken(provider: Provider) -> None:
    purchase = provider.purchase()

    held = provider.gateway.authorize(purchase)

    line = provider.line(purchase.order_id)
    assert (line.reference, line.authorized, line.captured) == (held.reference, Decimal("19.99"), Decimal(0))
    assert timedelta(days=6) < held.valid_for <= timedelta(days=7)


def test_what_is_captured_is_taken(provider: Provider) -> None:
    purchase = provider.purchase()
    held = provider.gateway.authorize(purchase)

    provider.gateway.capture(purchase.order_id, held.reference, purchase.amount)
    provider.gateway.capture(purchase.order_id, held.reference, purchase.amount)

    line = provider.line(purchase.order_id)
    assert (line.authorized, line.captured, line.refunded) == (Decimal(0), Decimal("19.99"), Decimal(0))


def test_what_is_voided_is_let_go_of_and_cannot_be_captured(provider: Provider) -> None:
    purchase = provider.purchase()
    held = provider.gateway.authorize(purchase)

    provider.gateway.void(purchase.order_id, held.reference)
    provider.gateway.void(purchase.order_id, held.reference)

    assert provider.line(purchase.order_id).authorized == 0
    if not provider.remembers_voids:
        return
    with pytest.raises(Declined):
        provider.gateway.capture(purchase.order_id, held.reference, purchase.amount)


@pytest.mark.parametrize("amount", ["19.99", "0.01", "7.30"])
def test_what_is_refunded_goes_back_once(provider: Provider, amount: str) -> None:
    purchase = provider.purchase()
    held = provider.gateway.authorize(purchase)
    provider.gateway.capture(purchase.order_id, held.reference, purchase.amount)

    for _ in range(3):
        provider.gateway.refund(purchase.order_id, held.reference, Decimal(amount))

    line = provider.line(purchase.order_id)
    assert (line.captured, line.refunded) == (Decimal("19.99"), Decimal(amount))


def test_a_declined_card_is_told_so_and_nothing_is_held(provider: Provider) -> None:
    purchase = provider.purchase(provider.declined)

    with pytest.raises(Declined):
        provider.gateway.authorize(purchase)

    assert all(line.authorized == 0 for line in provider.gateway.list_payments() if line.order_id == purchase.order_id)


def test_a_card_that_wants_to_be_confirmed_is_told_so_and_nothing_is_held(provider: Provider) -> None:
    purchase = provider.purchase(provider.confirm)

    with pytest.raises(ActionRequired):
        provider.gateway.authorize(purchase)

    assert all(line.authorized == 0 for line in provider.gateway.list_payments() if line.order_id == purchase.order_id)


def test_an_unknown_card_is_named(provider: Provider) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        provider.gateway.authorize(provider.purchase(provider.unknown))

    assert [violation.field for violation in refusal.value.violations] == ["paymentToken"]


def test_the_book_is_whole_over_its_pages(provider: Provider) -> None:
    purchases = [provider.purchase() for _ in range(120)]
    for purchase in purchases:
        provider.gateway.authorize(purchase)

    told = [line.order_id for line in provider.gateway.list_payments()]

    assert {purchase.order_id for purchase in purchases} <= set(told)
    assert len(told) == len(set(told))
