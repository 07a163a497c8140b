"""A payout: how much of a seller's available balance can be paid out, and the states of a payout."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from servicekit.errors import Conflict


class Status(StrEnum):
    """The status of a payout."""

    PENDING = "PENDING"
    PAID = "PAID"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Payout:
    """Money on its way to a seller: `amount` in major units of `currency`, to `destination` (may be empty).

    `reference` is the provider's id of it once it is PAID, `error` the provider's reason once it is FAILED.
    `created_at` is aware, in UTC. `reversed` is the part of a PAID payout that came back to the platform later.
    """

    id: UUID
    seller_id: UUID
    amount: Decimal
    currency: str
    status: Status
    destination: str
    created_at: datetime
    reference: str = ""
    error: str = ""
    reversed: Decimal = Decimal(0)


def check_account(destination: str, *, is_needed: bool) -> None:
    """Refuse a payout without a destination where the provider needs one. Raises Conflict (PAYOUT_ACCOUNT_MISSING)."""
    if is_needed and not destination:
        raise Conflict(code="PAYOUT_ACCOUNT_MISSING")


def payout_amount(requested: Decimal | None, available: Decimal) -> Decimal:
    """Return the requested amount, or everything that is available. All in major units.

    Raises Conflict (INSUFFICIENT_BALANCE) for more than is available, and for everything when nothing is.
    """
    amount = available if requested is None else requested
    if not 0 < amount <= available:
        raise Conflict(f"You have {available} available", code="INSUFFICIENT_BALANCE")
    return amount


def reverse(payout: Payout, amount: Decimal) -> Payout:
    """Return the payout after a report that `amount` of it came back in all. It is FAILED when all of it came back.

    A report of less than an earlier one is late, and changes nothing.
    """
    total = max(payout.reversed, min(amount, payout.amount))
    status = Status.FAILED if total == payout.amount else payout.status
    return replace(payout, reversed=total, status=status)
