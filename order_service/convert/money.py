"""Balances and payouts: domain to proto."""

from marketplace.order.v1 import order_pb2
from order_service.domain.balance import Balance, Entry
from order_service.domain.payout import Payout, failure_reason
from servicekit.times import to_timestamp


def to_balance(balance: Balance, currency: str) -> order_pb2.GetBalanceResponse:
    """Convert a seller's balance."""
    return order_pb2.GetBalanceResponse(
        currency=currency,
        in_escrow=float(balance.in_escrow),
        available=float(balance.available),
        paid_out=float(balance.paid_out),
    )


def to_sellers_balance(balance: Balance, currency: str) -> order_pb2.GetSellerBalanceResponse:
    """Convert a seller's balance for an admin."""
    return order_pb2.GetSellerBalanceResponse(
        currency=currency,
        in_escrow=float(balance.in_escrow),
        available=float(balance.available),
        paid_out=float(balance.paid_out),
    )


def to_entry(entry: Entry) -> order_pb2.BalanceEntry:
    """Convert an entry of a seller's available balance."""
    return order_pb2.BalanceEntry(
        at=to_timestamp(entry.at),
        kind=order_pb2.BalanceEntry.Kind.Value(entry.kind),
        amount=float(entry.amount),
        order_id=str(entry.order_id) if entry.order_id else None,
        payout_id=str(entry.payout_id) if entry.payout_id else None,
        message=entry.message or None,
    )


def to_payout(payout: Payout, is_held: bool) -> order_pb2.Payout:
    """Convert a payout. `is_held` says whether its seller's payouts are held."""
    return order_pb2.Payout(
        payout_id=str(payout.id),
        amount=float(payout.amount),
        currency=payout.currency,
        status=order_pb2.Payout.Status.Value(payout.status),
        created_at=to_timestamp(payout.created_at),
        seller_id=str(payout.seller_id),
        failure_reason=failure_reason(payout, is_held=is_held) or None,
    )


def to_requested(payout: Payout) -> order_pb2.RequestPayoutResponse:
    """Convert a payout to the response of RequestPayout."""
    return order_pb2.RequestPayoutResponse(
        payout_id=str(payout.id),
        amount=float(payout.amount),
        currency=payout.currency,
        status=order_pb2.Payout.Status.Value(payout.status),
        created_at=to_timestamp(payout.created_at),
    )
