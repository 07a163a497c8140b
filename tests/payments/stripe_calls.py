"""Purchases, payouts and refunds for the tests of the gateway to Stripe."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from order_service.payments.gateway import ProviderPayment, Purchase, RefundRequest, Transfer
from order_service.payments.stripe.gateway import StripeGateway
from servicekit.ids import new_id

PRICE = Decimal("19.99")
EPOCH, FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


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
