"""What moves money, as double entry: pure functions from an event to the posting that stands for it.

An account says where money is. A posting moves it from some to others, so its amounts sum to zero; so do all accounts
together. Sellers' accounts never go below zero; `BUYERS` does, by what buyers have paid in, and so does `CHARGEBACKS`,
by the platform's loss. What lies at the payment provider is what neither buyers nor sellers hold. All amounts are in
major units of the deployment's currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from order_service.domain.commission import commission as share_of


class Account(StrEnum):
    """Where money can be. Those of SELLERS there are once a seller, the others once."""

    # Of each seller: in escrow, less commission; theirs to ask for; on its way to them; at their own bank.
    ESCROW = "escrow"
    AVAILABLE = "available"
    PAYING_OUT = "paying_out"
    PAID_OUT = "paid_out"
    # At the buyers' own banks.
    BUYERS = "buyers"
    # The commission of what is in escrow, and what has been earned.
    ESCROW_COMMISSION = "escrow_commission"
    COMMISSION = "commission"
    # Decided to go back to buyers, and not there yet.
    REFUNDS_DUE = "refunds_due"
    # What buyers' banks took back, and nobody has made up for.
    CHARGEBACKS = "chargebacks"


SELLERS = frozenset((Account.ESCROW, Account.AVAILABLE, Account.PAYING_OUT, Account.PAID_OUT))


class Kind(StrEnum):
    """What a movement of a seller's AVAILABLE is told as."""

    SALE = "SALE"
    REFUND = "REFUND"
    COMMISSION = "COMMISSION"
    PAYOUT = "PAYOUT"
    PAYOUT_FAILED = "PAYOUT_FAILED"


@dataclass(frozen=True, slots=True)
class Line:
    """One entry: what `account` (of `owner`, where it is a seller's) gains, or loses when below zero."""

    account: Account
    amount: Decimal
    owner: UUID | None = None
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """A transaction of the ledger. `reference` is its event's, which is posted once."""

    reference: str
    lines: tuple[Line, ...]
    order_id: UUID | None = None
    payout_id: UUID | None = None


def captured(order_id: UUID, seller_id: UUID, price: Decimal, commission: Decimal) -> Posting:
    """A buyer's card was charged: into escrow, the commission apart."""
    return _of_order(
        f"capture:{order_id}",
        order_id,
        Line(Account.BUYERS, -price),
        Line(Account.ESCROW, price - commission, seller_id),
        Line(Account.ESCROW_COMMISSION, commission),
    )


def released(
    order_id: UUID,
    seller_id: UUID,
    price: Decimal,
    commission: Decimal,
    refund: Decimal,
    percent: Decimal,
    by_bank: Decimal,
) -> Posting:
    """An order was completed: the seller's, less `refund` and the commission on what is left.

    `commission` is what was set aside for the whole price. Of the refund the buyer's bank has seen to `by_bank`.
    """
    earned = share_of(price - refund, percent)
    return _of_order(
        f"release:{order_id}",
        order_id,
        Line(Account.ESCROW, commission - price, seller_id),
        Line(Account.ESCROW_COMMISSION, -commission),
        Line(Account.AVAILABLE, price, seller_id, Kind.SALE),
        Line(Account.AVAILABLE, -refund, seller_id, Kind.REFUND),
        Line(Account.AVAILABLE, -earned, seller_id, Kind.COMMISSION),
        Line(Account.COMMISSION, earned),
        Line(Account.REFUNDS_DUE, refund - by_bank),
        Line(Account.CHARGEBACKS, by_bank),
    )


def cancelled(order_id: UUID, seller_id: UUID, price: Decimal, commission: Decimal, by_bank: Decimal) -> Posting:
    """An order whose payment was captured was called off: all of it back, `by_bank` of it by the buyer's bank."""
    return _of_order(
        f"cancel:{order_id}",
        order_id,
        Line(Account.ESCROW, commission - price, seller_id),
        Line(Account.ESCROW_COMMISSION, -commission),
        Line(Account.REFUNDS_DUE, price - by_bank),
        Line(Account.CHARGEBACKS, by_bank),
    )


def refunded(order_id: UUID, amount: Decimal) -> Posting:
    """The payment provider gave the buyer back what was due."""
    return _of_order(f"refund:{order_id}", order_id, Line(Account.REFUNDS_DUE, -amount), Line(Account.BUYERS, amount))


def refund_met_by_bank(order_id: UUID, amount: Decimal) -> Posting:
    """The buyer's bank had taken the money back before the provider could give it back."""
    return _of_order(
        f"refund:{order_id}", order_id, Line(Account.REFUNDS_DUE, -amount), Line(Account.CHARGEBACKS, amount)
    )


def charged_back(chargeback_id: str, order_id: UUID, amount: Decimal) -> Posting:
    """A buyer's bank took money back."""
    return _of_order(
        f"chargeback:{chargeback_id}", order_id, Line(Account.CHARGEBACKS, -amount), Line(Account.BUYERS, amount)
    )


def chargeback_won(chargeback_id: str, order_id: UUID, amount: Decimal) -> Posting:
    """A buyer's bank gave back what it had taken."""
    return _of_order(
        f"chargeback-won:{chargeback_id}", order_id, Line(Account.BUYERS, -amount), Line(Account.CHARGEBACKS, amount)
    )


def payout_requested(payout_id: UUID, seller_id: UUID, amount: Decimal) -> Posting:
    """A seller asked for money that is theirs."""
    return _of_payout(
        f"payout:{payout_id}",
        payout_id,
        Line(Account.AVAILABLE, -amount, seller_id, Kind.PAYOUT),
        Line(Account.PAYING_OUT, amount, seller_id),
    )


def payout_paid(payout_id: UUID, seller_id: UUID, amount: Decimal) -> Posting:
    """The payment provider paid the seller."""
    return _of_payout(
        f"payout-paid:{payout_id}",
        payout_id,
        Line(Account.PAYING_OUT, -amount, seller_id),
        Line(Account.PAID_OUT, amount, seller_id),
    )


def payout_failed(payout_id: UUID, seller_id: UUID, amount: Decimal) -> Posting:
    """The payment provider refused to pay the seller: theirs to ask for again."""
    return _of_payout(
        f"payout-failed:{payout_id}",
        payout_id,
        Line(Account.PAYING_OUT, -amount, seller_id),
        Line(Account.AVAILABLE, amount, seller_id, Kind.PAYOUT_FAILED),
    )


def _of_order(reference: str, order_id: UUID, *lines: Line) -> Posting:
    return Posting(reference, tuple(line for line in lines if line.amount), order_id=order_id)


def _of_payout(reference: str, payout_id: UUID, *lines: Line) -> Posting:
    return Posting(reference, lines, payout_id=payout_id)
