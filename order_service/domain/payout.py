"""A payout: how much of what a seller has available can be asked for, and where it stands."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from servicekit.errors import Conflict


class Status(StrEnum):
    """Where a payout stands."""

    PENDING = "PENDING"
    PAID = "PAID"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Payout:
    """Money on its way to a seller: `amount` in major units of `currency`, to `destination` (may be empty).

    `reference` is the provider's name for it once it is PAID, `error` why it was refused once it is FAILED.
    `created_at` is aware, in UTC.
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


def check_account(destination: str, *, is_needed: bool) -> None:
    """Raises Conflict (PAYOUT_ACCOUNT_MISSING) when the provider has to be told where to and nobody has said."""
    if is_needed and not destination:
        raise Conflict(code="PAYOUT_ACCOUNT_MISSING")


def amount_of(asked: Decimal | None, available: Decimal) -> Decimal:
    """How much is paid out: what was asked for, or all that is available. All in major units.

    Raises Conflict (INSUFFICIENT_BALANCE) for more than there is, and for all of nothing.
    """
    amount = available if asked is None else asked
    if not 0 < amount <= available:
        raise Conflict(f"You have {available} available", code="INSUFFICIENT_BALANCE")
    return amount
