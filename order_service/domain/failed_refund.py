"""Refunds after the end of an order that the payment provider refuses for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from order_service.domain import settlement
from order_service.domain.lifecycle import Action
from order_service.domain.order import Change, Event, Order, PaidBy, Party


def fail_refund(order: Order, history: Sequence[Event], now: datetime) -> Change | None:
    """Return the order without its newest refund after the end, as far as it is outstanding; None without such one.

    It is called when the provider refuses the refund for good.
    """
    outstanding = settlement.outstanding(order)
    for amount, paid_by in reversed(_refunds_after_end(history)):
        undone = min(amount, outstanding)
        if undone > 0:
            change = settlement.undo_refund(order, undone, paid_by)
            moved = replace(change.order, version=order.version + 1, updated_at=now)
            event = Event(now, Party.SYSTEM, Action.REFUND_FAILED, order.status, order.status, "", undone, paid_by)
            return replace(change, order=moved, event=event)
    return None


def _refunds_after_end(history: Sequence[Event]) -> list[tuple[Decimal, PaidBy]]:
    """Return the refunds of a completed order that an admin decided and that stand, oldest first."""
    refunds: list[tuple[Decimal, PaidBy]] = []
    for event in history:
        if event.amount is None or event.paid_by is None:
            continue
        if event.action == Action.REFUND:
            refunds.append((event.amount, event.paid_by))
            continue
        # The failure of the newest refund of this payer.
        place = max(index for index, (_, paid_by) in enumerate(refunds) if paid_by is event.paid_by)
        amount, paid_by = refunds[place]
        refunds[place : place + 1] = [(amount - event.amount, paid_by)] if amount > event.amount else []
    return refunds
