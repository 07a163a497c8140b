"""A payout: how much of a seller's available balance can be paid out, the states of a payout, and holds of payouts."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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

    `reference` is the provider's id of it once it is PAID, `error` the provider's reason once it is FAILED. All times
    are aware, in UTC.

    `sent_at` is set while the provider is asked, and after that while the outcome is not known. `refusals` counts the
    times that the provider definitely did not pay and may pay later. `reversed` is the part of a PAID payout that came
    back to the platform.
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
    sent_at: datetime | None = None
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class PayoutHold:
    """An admin's decision that a seller's payouts wait. `reason` is for admins, `since` is aware, in UTC."""

    reason: str
    since: datetime


REFUSED = "The payment provider refused the payout; please check your payout account"
HELD = "Your payouts are held, please contact the marketplace"
NOT_COVERED = "Waiting for the marketplace's balance at the payment provider"

FIRST_DELAY = timedelta(minutes=2)
MAX_DELAY = timedelta(hours=1)


def failure_reason(payout: Payout, *, is_held: bool) -> str:
    """Return the reason why the payout failed or waits, for its seller; empty when there is none."""
    if payout.reversed:
        return f"The payment provider took {payout.reversed} of the payout back"
    if payout.status is Status.FAILED:
        return REFUSED
    if not may_send(payout, is_held=is_held):
        return HELD if payout.status is Status.PENDING else ""
    return NOT_COVERED if payout.refusals else ""


def may_send(payout: Payout, *, is_held: bool) -> bool:
    """Return whether the provider may be asked for the payout.

    A hold does not stop a payout that the provider was asked for: whether it is paid is not known.
    """
    return payout.status is Status.PENDING and not (is_held and payout.sent_at is None)


def retry_delay(refusals: int) -> timedelta:
    """Return the time until a payout that was not covered is sent again, after this number of refusals (from 1)."""
    doublings: int = min(refusals - 1, 10)
    return min(MAX_DELAY, FIRST_DELAY * (1 << doublings))


def check_hold(*, is_held: bool) -> None:
    """Refuse a new payout while the seller's payouts are held. Raises Conflict (PAYOUTS_HELD)."""
    if is_held:
        raise Conflict(code="PAYOUTS_HELD")


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


def end(payout: Payout, status: Status, *, reference: str = "", error: str = "") -> Payout:
    """Return the payout with its outcome: PAID with the provider's reference, or FAILED with its error."""
    return replace(payout, status=status, reference=reference, error=error, sent_at=None)


def reverse(payout: Payout, amount: Decimal) -> Payout:
    """Return the payout after a report that `amount` of it came back in all. It is FAILED when all of it came back.

    A report of less than an earlier one is late, and changes nothing.
    """
    total = max(payout.reversed, min(amount, payout.amount))
    status = Status.FAILED if total == payout.amount else payout.status
    return replace(payout, reversed=total, status=status)
