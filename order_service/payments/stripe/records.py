"""Stripe's own records of our payments and payouts: those with our ids in their metadata. Amounts are cents there."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

from order_service.payments.gateway import ProviderPayment, ProviderPayout
from order_service.payments.stripe.events import takes_money
from order_service.payments.stripe.names import ORDER, PAYOUT

CENT = Decimal("0.01")
NOTHING = Decimal(0)
# The most that Stripe returns at once.
PAGE = 100


def list_payments(api: Any) -> Iterator[ProviderPayment]:
    """Yield every payment of an order. Raises the library's errors."""
    page = api.payment_intents.list({"limit": PAGE, "expand": ["data.latest_charge"]})
    for intent in page.auto_paging_iter():
        if order_id := metadata(intent, ORDER):
            yield _to_payment(api, UUID(order_id), intent)


def list_payouts(api: Any) -> Iterator[ProviderPayout]:
    """Yield every payout. Raises the library's errors."""
    for transfer in api.transfers.list({"limit": PAGE}).auto_paging_iter():
        if payout_id := metadata(transfer, PAYOUT):
            yield ProviderPayout(UUID(payout_id), amount(transfer.amount))


def metadata(resource: Any, name: str) -> str:
    """Return our metadata of a Stripe resource; empty when it is not ours."""
    return str(getattr(getattr(resource, "metadata", None), name, None) or "")


def cents(major: Decimal) -> int:
    """Convert an amount in major units to cents."""
    return int(major / CENT)


def amount(minor: int) -> Decimal:
    """Convert an amount in cents to major units."""
    return minor * CENT


def _to_payment(api: Any, order_id: UUID, intent: Any) -> ProviderPayment:
    is_captured = intent.status == "succeeded"
    refunded = getattr(intent.latest_charge, "amount_refunded", None) or 0
    return ProviderPayment(
        order_id=order_id,
        reference=intent.id,
        authorized=amount(intent.amount) if intent.status == "requires_capture" else NOTHING,
        captured=amount(intent.amount) if is_captured else NOTHING,
        # A voided authorization has `amount_refunded`, too.
        refunded=amount(refunded) if is_captured else NOTHING,
        charged_back=_charged_back(api, intent),
    )


def _charged_back(api: Any, intent: Any) -> Decimal:
    """Return the amount that banks hold. `disputed` stays true after a dispute is over, so its disputes are listed."""
    if not getattr(intent.latest_charge, "disputed", False):
        return NOTHING
    disputes = api.disputes.list({"payment_intent": intent.id, "limit": PAGE}).auto_paging_iter()
    return sum((amount(each.amount) for each in disputes if takes_money(each.status)), NOTHING)
