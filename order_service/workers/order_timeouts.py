"""Order timeouts: every worker moves the orders whose time has passed, and each order is moved once.

A worker locks the next order that is due and that nobody has locked, moves it, and commits: each order has a
transaction of its own, and the workers share the orders between them. An order that cannot be moved is put off, and
holds up no other. Time is the database's, so all workers agree on it.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from prometheus_client import Counter, Gauge

from order_service.commands.time_out_order import TimeOutOrder
from order_service.domain.lifecycle import AUTHORIZATION_MARGIN, Action, Timeouts
from order_service.store.orders import FIRST_DUE, DueKey, DueOrder, Waiting
from order_service.store.store import Store
from servicekit.database import DatabaseAway, TransactionConflict
from servicekit.outbox.relay import error_text

MOVED = Counter(
    "marketplace_orders_timed_out_total", "Orders that this worker moved because time had passed", ["action"]
)
FAILED = Counter("marketplace_order_timeouts_failed_total", "Orders that this worker failed to move and put off")
PUT_OFF = Gauge("marketplace_orders_put_off", "Orders that could not be moved by time, for people to look at")


class OrderTimeouts:
    """Finds the orders that are due and calls TimeOutOrder for each."""

    def __init__(self, store: Store, time_out_order: TimeOutOrder, timeouts: Timeouts) -> None:
        self._store = store
        self._time_out_order = time_out_order
        self._timeouts: dict[Waiting, timedelta] = {
            Waiting.ANSWER: timeouts.answer,
            Waiting.CAPTURE: -AUTHORIZATION_MARGIN,
            Waiting.APPROVAL: timeouts.approval,
            Waiting.DELIVERY: timeouts.overdue,
        }
        self._log = structlog.get_logger()

    def move_due(self) -> int:
        """Move the orders that are due now. Return how many this call moved."""
        moved = sum(self._move_all(waiting) for waiting in self._timeouts)
        PUT_OFF.set(self._store.put_off_orders.sweep())
        return moved

    def _move_all(self, waiting: Waiting) -> int:
        after: DueKey | None = FIRST_DUE
        moved = 0
        while after is not None:
            after, action = self._move_next(waiting, after)
            moved += action is not None
        return moved

    def _move_next(self, waiting: Waiting, after: DueKey) -> tuple[DueKey | None, Action | None]:
        """Move the next order that is due. Return its place, None when there is none, and the action."""
        due: DueOrder | None = None
        try:
            with self._store.transaction("time"):
                due = self._store.orders.lock_next_due(waiting, self._timeouts[waiting], after)
                if due is None:
                    return None, None
                action = self._time_out_order.execute(due)
        except DatabaseAway:
            raise
        except Exception as error:
            if due is None:
                raise
            self._handle_failure(due, error)
            return due.key, None
        if action is not None:
            MOVED.labels(action).inc()
            self._log.info("order moved by time", action=action, order=str(due.order.id))
        return due.key, action

    def _handle_failure(self, due: DueOrder, error: Exception) -> None:
        # Counted and logged already. The order is still due, and comes again in the next round.
        if isinstance(error, TransactionConflict):
            return
        FAILED.inc()
        self._log.error("order could not be moved by time", order=str(due.order.id), exc_info=error)
        self._store.put_off_orders.put_off(due.order, error_text(error))
