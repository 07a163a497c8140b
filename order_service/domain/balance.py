"""A seller's balance and its entries, as they are shown, and adjustments of it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from order_service.domain.ledger import Kind
from servicekit.errors import Conflict


@dataclass(frozen=True, slots=True)
class Balance:
    """A seller's money, in major units: in escrow less commission, available for a payout, and paid out."""

    in_escrow: Decimal
    available: Decimal
    paid_out: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """The `number`th movement of a seller's available balance. `at` is aware, `amount` in major units.

    `message` is an admin's message to the seller, empty for entries that are no adjustment.
    """

    number: int
    at: datetime
    kind: Kind
    amount: Decimal
    order_id: UUID | None
    payout_id: UUID | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A change of a seller's available balance by an admin: `amount` in major units, above or below zero.

    `message` is shown to the seller. `at` is aware, in UTC.
    """

    id: UUID
    seller_id: UUID
    admin_id: UUID
    amount: Decimal
    message: str
    at: datetime


def check_adjustment(amount: Decimal, available: Decimal) -> None:
    """Refuse an adjustment below zero. Both in major units. Raises Conflict (INSUFFICIENT_BALANCE)."""
    if available + amount < 0:
        raise Conflict(f"The seller has {available} available", code="INSUFFICIENT_BALANCE")
