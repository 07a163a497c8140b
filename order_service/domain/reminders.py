"""Reminders: events before an order is due, and before time moves it on, once for each wait.

A reminder changes nothing that clients see of an order. It is late after an outage, but never comes at the moment
itself or later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from order_service.domain.lifecycle import Timeouts
from order_service.domain.order import Change, Event, Order, Party, Status


class Reminder(StrEnum):
    """The reminders, by their names among the actions of an order's history."""

    EXPIRING = "expiring"
    DUE_SOON = "due_soon"
    AUTO_COMPLETING = "auto_completing"


# The status of an order that gets it.
STATUSES = {
    Reminder.EXPIRING: Status.PENDING,
    Reminder.DUE_SOON: Status.IN_PROGRESS,
    Reminder.AUTO_COMPLETING: Status.DELIVERED,
}


@dataclass(frozen=True, slots=True)
class Leads:
    """How long each reminder comes before its moment. One without a lead never comes."""

    expiring: timedelta
    due_soon: timedelta
    auto_completing: timedelta


class _Wait(NamedTuple):
    """The time since which an order waits, or its due date; the moment at which that ends; and the reminder of it."""

    since: datetime
    moment: datetime
    reminder: Reminder
    lead: timedelta


def remind(order: Order, *, now: datetime, timeouts: Timeouts, leads: Leads) -> Change | None:
    """Return the reminder that is due now. None when none is due, or the order has had it.

    While a payment is captured none is due: the order has its answer.
    """
    wait = _wait(order, timeouts, leads)
    if wait is None or order.is_being_captured or order.reminded_of == wait.since:
        return None
    if not wait.moment - wait.lead <= now < wait.moment:
        return None
    # `updated_at` stays, since the history that clients see does not grow.
    reminded = replace(order, version=order.version + 1, reminded_of=wait.since)
    return Change(reminded, Event(now, Party.SYSTEM, wait.reminder, order.status, order.status, "", is_reminder=True))


def _wait(order: Order, timeouts: Timeouts, leads: Leads) -> _Wait | None:
    match order.status:
        case Status.PENDING:
            return _Wait(order.created_at, timeouts.expiry(order), Reminder.EXPIRING, leads.expiring)
        case Status.IN_PROGRESS:
            return _Wait(order.due_at, order.due_at, Reminder.DUE_SOON, leads.due_soon)
        case Status.DELIVERED:
            since, moment = order.last_delivered_at, timeouts.completion(order)
            if since is not None and moment is not None:
                return _Wait(since, moment, Reminder.AUTO_COMPLETING, leads.auto_completing)
    return None
