"""Move an order whose time has passed."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.lifecycle import Action, Command, Timeouts, move, open_actions
from order_service.domain.order import Party
from order_service.store.store import Store

SYSTEM = frozenset({Party.SYSTEM})


class TimeOutOrder:
    """Expire or complete an order, as the table of transitions says, unless somebody else is changing it."""

    def __init__(self, store: Store, timeouts: Timeouts) -> None:
        self._store = store
        self._timeouts = timeouts

    def execute(self, order_id: UUID) -> Action | None:
        """Return the action that was taken; None when the order is locked, or not due any more."""
        with self._store.transaction("time"):
            reading = self._store.orders.lock_if_free(order_id)
            actions = open_actions(reading.order, SYSTEM, reading.now, self._timeouts) if reading else []
            if reading is None or not actions:
                return None
            change = move(reading.order, Command(actions[0]), SYSTEM, now=reading.now, timeouts=self._timeouts)
            self._store.orders.save(change, reading.now)
        return actions[0]
