"""Order timeouts: every worker moves the orders whose time has passed, and each order is moved once.

Each order has a transaction of its own. An order that somebody else has locked is left to them. Time is the database's,
so all workers agree on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import structlog
from prometheus_client import Counter

from order_service.commands.time_out_order import TimeOutOrder
from order_service.domain.lifecycle import AUTHORIZATION_MARGIN, Timeouts
from order_service.store.orders import FIRST_DUE, DueOrder, Waiting
from order_service.store.store import Store
from servicekit.database import DatabaseAway

BATCH = 50

MOVED = Counter(
    "marketplace_orders_timed_out_total", "Orders that this worker moved because time had passed", ["action"]
)


class OrderTimeouts:
    """Finds the orders that are due and calls TimeOutOrder for each."""

    def __init__(self, store: Store, time_out_order: TimeOutOrder, timeouts: Timeouts) -> None:
        self._store = store
        self._time_out_order = time_out_order
        self._timeouts: dict[Waiting, timedelta] = {
            Waiting.ANSWER: timeouts.answer,
            Waiting.CAPTURE: -AUTHORIZATION_MARGIN,
            Waiting.APPROVAL: timeouts.approval,
        }
        self._log = structlog.get_logger()

    def move_due(self) -> int:
        """Move the orders that are due now. Return how many this call moved."""
        return sum(self._move(due) for waiting in self._timeouts for due in self._due(waiting))

    def _due(self, waiting: Waiting) -> Iterator[DueOrder]:
        after = FIRST_DUE
        while batch := self._store.orders.due(waiting, self._timeouts[waiting], after=after, limit=BATCH):
            yield from batch
            after = batch[-1]

    def _move(self, due: DueOrder) -> bool:
        try:
            action = self._time_out_order.execute(due.id)
        except DatabaseAway:
            raise
        except Exception:
            # One bad order must not stop time for the others.
            self._log.exception("order could not be moved by time", order=str(due.id))
            return False
        if action is None:
            return False
        MOVED.labels(action).inc()
        self._log.info("order moved by time", action=action, order=str(due.id))
        return True
