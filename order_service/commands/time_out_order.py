"""Move an order whose time has passed."""

from __future__ import annotations

from order_service.domain.lifecycle import Action, Command, Timeouts, move, open_actions
from order_service.domain.order import Party
from order_service.store.orders import DueOrder
from order_service.store.store import Store

SYSTEM = frozenset({Party.SYSTEM})


class TimeOutOrder:
    """Expire, complete or abandon an order, as the table of transitions says."""

    def __init__(self, store: Store, timeouts: Timeouts) -> None:
        self._store = store
        self._timeouts = timeouts

    def execute(self, due: DueOrder) -> Action | None:
        """Move the order, in the transaction that has locked it. Return the action; None when none is due."""
        actions = open_actions(due.order, SYSTEM, due.now, self._timeouts)
        if not actions:
            return None
        change = move(due.order, Command(actions[0]), SYSTEM, now=due.now, timeouts=self._timeouts)
        self._store.orders.save(change, due.now)
        return actions[0]
