"""Remind the sides of an order of the moment at which time acts on it."""

from __future__ import annotations

from order_service.domain.lifecycle import Timeouts
from order_service.domain.reminders import Leads, Reminder, remind
from order_service.store.orders import DueOrder
from order_service.store.store import Store


class RemindOfOrder:
    """Store the reminder of an order: its event goes to the feed, and from there to everyone who follows along."""

    def __init__(self, store: Store, timeouts: Timeouts, leads: Leads) -> None:
        self._store = store
        self._timeouts = timeouts
        self._leads = leads

    def execute(self, due: DueOrder) -> Reminder | None:
        """Store the reminder, in the transaction that has locked the order. Return it; None when none is due."""
        change = remind(due.order, now=due.now, timeouts=self._timeouts, leads=self._leads)
        if change is None:
            return None
        self._store.orders.save(change, due.now)
        assert change.event is not None
        return Reminder(change.event.action)
