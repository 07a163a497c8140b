"""Builders for orders: what a test does not name is something believable."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from order_service.domain.lifecycle import Patience
from order_service.domain.order import Offer, Order, Wish, place
from servicekit.ids import new_id

BUYER = UUID("018f0000-0000-7000-8000-00000000000b")
SELLER = UUID("018f0000-0000-7000-8000-00000000000c")
STRANGER = UUID("018f0000-0000-7000-8000-00000000000d")
NOON = datetime(2023, 8, 20, 12, tzinfo=UTC)
# As the public contract has it.
PATIENCE = Patience(answer=timedelta(hours=48), approval=timedelta(hours=72))


def an_offer(**changes: Any) -> Offer:
    """The seed's basic website, fourteen days, two revisions."""
    offer = Offer(
        package_id=new_id(),
        package_title="Basic Website",
        gig_id=new_id(),
        gig_title="Professional Website Development",
        seller_id=SELLER,
        price=Decimal("500.00"),
        delivery_days=14,
        revisions=2,
    )
    return replace(offer, **changes)


def a_wish(**changes: Any) -> Wish:
    """The seed's buyer."""
    return replace(Wish(BUYER, "Need dark theme", "stripe"), **changes)


def an_order(**changes: Any) -> Order:
    """An order placed at noon, with these fields changed."""
    placed = place(new_id(), an_offer(), a_wish(), currency="USD", now=NOON).order
    return replace(placed, **changes)
