"""More time for an order: the seller asks for it, the buyer answers, and the due date moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from order_service.domain.order import Order

# The most days that an order gets in all its extensions together.
MOST_DAYS = 365
# The most changes of an order before a request for more time. A declined request uses no days, so without this bound a
# seller and a buyer could make a history of any length, which is read as a whole.
MOST_CHANGES = 500


def days_left(order: Order) -> int:
    """Return by how many days the due date can still move."""
    return MOST_DAYS - order.extended_days


def has_changed_too_often(order: Order) -> bool:
    """Return whether the order has had too many changes for a request for more time."""
    return order.version >= MOST_CHANGES


def ask(order: Order, days: int, message: str, now: datetime) -> Order:
    """Return the order with an open request for more time. Nothing else changes before it is accepted."""
    return replace(order, extension_days=days, extension_message=message, extension_at=now)


def accept(order: Order) -> Order:
    """Return the order without its open request, due so much later than it was."""
    assert order.extension is not None
    days = order.extension.days
    due_at = order.due_at + timedelta(days=days)
    return replace(close(order), due_at=due_at, extended_days=order.extended_days + days)


def close(order: Order) -> Order:
    """Return the order without a request for more time."""
    return replace(order, extension_days=None, extension_message="", extension_at=None)
