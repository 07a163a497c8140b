"""Balances and payouts on their way out: domain to proto."""

from marketplace.order.v1 import order_pb2
from order_service.domain.payout import Payout
from order_service.store.ledger import Balance, Entry
from servicekit.times import to_timestamp


def to_balance(balance: Balance, currency: str) -> order_pb2.GetBalanceResponse:
    """What a seller has."""
    return order_pb2.GetBalanceResponse(
        currency=currency,
        in_escrow=float(balance.in_escrow),
        available=float(balance.available),
        paid_out=float(balance.paid_out),
    )


def to_entry(entry: Entry) -> order_pb2.BalanceEntry:
    """A movement of what a seller has available."""
    return order_pb2.BalanceEntry(
        at=to_timestamp(entry.at),
        kind=order_pb2.BalanceEntry.Kind.Value(entry.kind),
        amount=float(entry.amount),
        order_id=str(entry.order_id) if entry.order_id else None,
        payout_id=str(entry.payout_id) if entry.payout_id else None,
    )


def to_payout(payout: Payout) -> order_pb2.Payout:
    """A payout as it is now."""
    return order_pb2.Payout(
        payout_id=str(payout.id),
        amount=float(payout.amount),
        currency=payout.currency,
        status=order_pb2.Payout.Status.Value(payout.status),
        created_at=to_timestamp(payout.created_at),
        seller_id=str(payout.seller_id),
    )


def to_requested(payout: Payout) -> order_pb2.RequestPayoutResponse:
    """What the request for a payout answers."""
    return order_pb2.RequestPayoutResponse(
        payout_id=str(payout.id),
        amount=float(payout.amount),
        currency=payout.currency,
        status=order_pb2.Payout.Status.Value(payout.status),
        created_at=to_timestamp(payout.created_at),
    )
