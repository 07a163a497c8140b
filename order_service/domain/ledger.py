"""Double-entry bookkeeping: accounts, entries and postings. `settlement.py` has the postings of orders.

An account says where money is. A posting moves money between accounts, so its amounts sum to zero; so do all accounts
together. Sellers' accounts never go below zero. `BUYERS` is below zero by the payments that buyers have made, and
`CHARGEBACKS` by the platform's loss. The payment provider holds what is in no account of buyers or of PAID_OUT. All
amounts are in major units of the deployment's currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID


class Account(StrEnum):
    """A place where money can be. Each seller has the accounts of SELLERS; of the others there is one each."""

    # Of each seller: in escrow, less commission; available for a payout; in a payout that is pending; paid out.
    ESCROW = "escrow"
    AVAILABLE = "available"
    PAYING_OUT = "paying_out"
    PAID_OUT = "paid_out"
    # At the buyers' own banks.
    BUYERS = "buyers"
    # The commission on the money in escrow, and the commission that was earned.
    ESCROW_COMMISSION = "escrow_commission"
    COMMISSION = "commission"
    # Refunds that are decided and not made yet.
    REFUNDS_DUE = "refunds_due"
    # Money that buyers' banks took back.
    CHARGEBACKS = "chargebacks"
    # The platform's refunds and its adjustments of sellers' balances: below zero when they cost it money.
    PLATFORM_REFUNDS = "platform_refunds"
    ADJUSTMENTS = "adjustments"
    # Fees of the payment provider: the platform's cost (below zero), and the provider's side of it.
    FEES = "fees"
    FEES_PAID = "fees_paid"


SELLERS = frozenset((Account.ESCROW, Account.AVAILABLE, Account.PAYING_OUT, Account.PAID_OUT))


class Kind(StrEnum):
    """The kind of a movement of a seller's AVAILABLE account, as the API shows it."""

    SALE = "SALE"
    REFUND = "REFUND"
    COMMISSION = "COMMISSION"
    PAYOUT = "PAYOUT"
    PAYOUT_FAILED = "PAYOUT_FAILED"
    ADJUSTMENT = "ADJUSTMENT"


@dataclass(frozen=True, slots=True)
class Line:
    """One entry: the amount that `account` gains, or loses when it is below zero. `owner` is a seller."""

    account: Account
    amount: Decimal
    owner: UUID | None = None
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """A transaction of the ledger. `reference` names the event that it stands for, which is posted once.

    It belongs to an order, a payout or an adjustment. `message` is for the seller; adjustments have one.
    """

    reference: str
    lines: tuple[Line, ...]
    order_id: UUID | None = None
    payout_id: UUID | None = None
    adjustment_id: UUID | None = None
    message: str = ""


def payout_reversed(payout_id: UUID, seller_id: UUID, amount: Decimal, total: Decimal) -> Posting:
    """Return the posting of a payout of which a further `amount` came back to the platform, `total` in all."""
    return _of_payout(
        f"payout-reversed:{payout_id}:{total}",
        payout_id,
        Line(Account.PAID_OUT, -amount, seller_id),
        Line(Account.AVAILABLE, amount, seller_id, Kind.PAYOUT_FAILED),
    )


def difference(before: tuple[Line, ...], after: tuple[Line, ...]) -> tuple[Line, ...]:
    """Return the entries that lead from one position to another. Gains come first, so that no account is overdrawn."""
    changes = {_slot(line): line.amount for line in after}
    for line in before:
        changes[_slot(line)] = changes.get(_slot(line), Decimal(0)) - line.amount
    lines = [Line(account, amount, owner, kind) for (account, owner, kind), amount in changes.items() if amount]
    return tuple(sorted(lines, key=lambda line: line.amount < 0))


def payout_requested(payout_id: UUID, seller_id: UUID, amount: Decimal) -> Posting:
    """Return the posting of a requested payout."""
    return _of_payout(
        f"payout:{payout_id}",
        payout_id,
        Line(Account.AVAILABLE, -amount, seller_id, Kind.PAYOUT),
        Line(Account.PAYING_OUT, amount, seller_id),
    )


def payout_paid(payout_id: UUID, seller_id: UUID, amount: Decimal) -> Posting:
    """Return the posting of a payout that was paid."""
    return _of_payout(
        f"payout-paid:{payout_id}",
        payout_id,
        Line(Account.PAYING_OUT, -amount, seller_id),
        Line(Account.PAID_OUT, amount, seller_id),
    )


def payout_failed(payout_id: UUID, seller_id: UUID, amount: Decimal) -> Posting:
    """Return the posting of a payout that failed: the amount is available again."""
    return _of_payout(
        f"payout-failed:{payout_id}",
        payout_id,
        Line(Account.PAYING_OUT, -amount, seller_id),
        Line(Account.AVAILABLE, amount, seller_id, Kind.PAYOUT_FAILED),
    )


def _slot(line: Line) -> tuple[Account, UUID | None, Kind | None]:
    return line.account, line.owner, line.kind


def adjusted(adjustment_id: UUID, seller_id: UUID, amount: Decimal, message: str) -> Posting:
    """Return the posting of an adjustment, at the platform's cost when the amount is above zero."""
    lines = (
        Line(Account.ADJUSTMENTS, -amount),
        Line(Account.AVAILABLE, amount, seller_id, Kind.ADJUSTMENT),
    )
    return Posting(f"adjustment:{adjustment_id}", lines, adjustment_id=adjustment_id, message=message)


def _of_payout(reference: str, payout_id: UUID, *lines: Line) -> Posting:
    return Posting(reference, lines, payout_id=payout_id)
