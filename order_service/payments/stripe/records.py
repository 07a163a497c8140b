"""Stripe's own book of our payments and payouts: what has our ids in its metadata. Amounts come as cents."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

from order_service.payments.gateway import ProviderPayment, ProviderPayout
from order_service.payments.stripe.events import takes_money

ORDER, PAYOUT = "order_id", "payout_id"
CENT = Decimal("0.01")
NOTHING = Decimal(0)
# As many as Stripe gives at once.
PAGE = 100


def payments(api: Any) -> Iterator[ProviderPayment]:
    """Every payment of an order. Raises what the library does."""
    page = api.payment_intents.list({"limit": PAGE, "expand": ["data.latest_charge"]})
    for intent in page.auto_paging_iter():
        if order_id := metadata(intent, ORDER):
            yield _to_line(api, UUID(order_id), intent)


def payouts(api: Any) -> Iterator[ProviderPayout]:
    """Every payout. Raises what the library does."""
    for made in api.transfers.list({"limit": PAGE}).auto_paging_iter():
        if payout_id := metadata(made, PAYOUT):
            yield ProviderPayout(UUID(payout_id), amount(made.amount))


def metadata(thing: Any, name: str) -> str:
    """What we have noted on something of Stripe's; empty when it is not ours."""
    return str(getattr(getattr(thing, "metadata", None), name, None) or "")


def cents(major: Decimal) -> int:
    """An amount in major units as Stripe counts."""
    return int(major / CENT)


def amount(minor: int) -> Decimal:
    """An amount of Stripe's in major units."""
    return minor * CENT


def _to_line(api: Any, order_id: UUID, intent: Any) -> ProviderPayment:
    is_captured = intent.status == "succeeded"
    refunded = getattr(intent.latest_charge, "amount_refunded", None) or 0
    return ProviderPayment(
        order_id=order_id,
        reference=intent.id,
        held=amount(intent.amount) if intent.status == "requires_capture" else NOTHING,
        captured=amount(intent.amount) if is_captured else NOTHING,
        # A hold that was let go of is told as a refund, too.
        refunded=amount(refunded) if is_captured else NOTHING,
        charged_back=_taken_back(api, intent),
    )


def _taken_back(api: Any, intent: Any) -> Decimal:
    """What banks have taken back and not returned: a charge that was ever disputed is called so for good."""
    if not getattr(intent.latest_charge, "disputed", False):
        return NOTHING
    disputes = api.disputes.list({"payment_intent": intent.id, "limit": PAGE}).auto_paging_iter()
    return sum((amount(each.amount) for each in disputes if takes_money(each.status)), NOTHING)
