"""The behaviour of payouts that every payment gateway has in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from order_service.payments.gateway import Gateway, NotCoveredError, PayoutRefusedError, Transfer
from order_service.payments.instrumented import InstrumentedGateway
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.gateway import PAYOUT_NOT_COVERED_FOR, Sandbox
from order_service.payments.stripe.gateway import StripeGateway
from servicekit.clock import Clock
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.orderservice import FIRST_TIME, LAST_TIME
from tests.support.stripe_double import StripeDouble


@dataclass
class Provider:
    """A provider, and destinations that can be paid, that cannot, and that the platform's balance does not cover.

    `cover` lets the balance cover it.
    """

    gateway: Gateway
    good: str
    refused: str
    not_covered: str
    cover: Callable[[], None]

    def transfer(self, destination: str) -> Transfer:
        return Transfer(new_id(), Decimal("19.99"), "USD", destination)

    def paid(self, transfer: Transfer) -> list[Decimal]:
        return [
            payout.amount
            for payout in self.gateway.list_transfers(FIRST_TIME, LAST_TIME)
            if payout.payout_id == transfer.payout_id
        ]


def sandbox_provider(database: Database) -> Provider:
    cards = (scenarios.PAYOUT_REFUSED, scenarios.PAYOUT_WAITS)
    return Provider(Sandbox(database), "acct_1", *cards, lambda: Clock(database).travel(PAYOUT_NOT_COVERED_FOR))


def double_provider(double: StripeDouble) -> Provider:
    double.balance = 1998

    def cover() -> None:
        double.balance = 1999

    return Provider(StripeGateway("sk_test_1", "USD", double.url), "acct_good", "acct_new", "acct_good", cover)


@pytest.fixture(params=["sandbox", "double"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    if request.param == "sandbox":
        bare = sandbox_provider(request.getfixturevalue("sandbox_database"))
    else:
        bare = double_provider(request.getfixturevalue("double"))
    yield replace(bare, gateway=InstrumentedGateway(bare.gateway))


def test_a_repeated_payout_is_made_once(provider: Provider) -> None:
    provider.cover()
    transfer = provider.transfer(provider.good)

    references = {provider.gateway.pay_out(transfer) for _ in range(3)}

    assert len(references) == 1
    assert provider.paid(transfer) == [Decimal("19.99")]


def test_a_refused_payout_is_not_made(provider: Provider) -> None:
    provider.cover()
    transfer = provider.transfer(provider.refused)

    with pytest.raises(PayoutRefusedError):
        provider.gateway.pay_out(transfer)

    assert provider.paid(transfer) == []


def test_a_payout_that_is_not_covered_is_definitely_not_made_and_is_made_when_asked_anew(provider: Provider) -> None:
    transfer = provider.transfer(provider.not_covered)
    with pytest.raises(NotCoveredError):
        provider.gateway.pay_out(transfer)
    assert provider.paid(transfer) == []

    provider.cover()
    references = {provider.gateway.pay_out(replace(transfer, refusals=refusals)) for refusals in (1, 2, 3)}

    assert len(references) == 1
    assert provider.paid(transfer) == [Decimal("19.99")]


def test_stripe_repeats_its_refusal_to_the_same_key_although_the_money_has_come(double: StripeDouble) -> None:
    provider = double_provider(double)
    transfer = provider.transfer("acct_good")
    with pytest.raises(NotCoveredError):
        provider.gateway.pay_out(transfer)

    provider.cover()
    with pytest.raises(NotCoveredError):
        provider.gateway.pay_out(transfer)

    assert provider.gateway.pay_out(replace(transfer, refusals=1)) == double.transfers[0]["id"]
    keys = [key for method, path, _, key in double.calls if method == "POST"]
    assert keys == [f"{transfer.payout_id}:pay_out"] * 2 + [f"{transfer.payout_id}:pay_out:1"]
