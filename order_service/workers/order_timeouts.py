"""Order timeouts: every worker moves the orders whose time has passed, and each order is moved once."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import Counter, Gauge

from order_service.commands.time_out_order import TimeOutOrder
from order_service.domain.lifecycle import AUTHORIZATION_MARGIN, Timeouts
from order_service.store.orders import Waiting
from order_service.store.store import Store
from order_service.workers.due_orders import DueOrders

MOVED = Counter(
    "marketplace_orders_timed_out_total", "Orders that this worker moved because time had passed", ["action"]
)
FAILED = Counter("marketplace_order_timeouts_failed_total", "Orders that this worker failed to move and put off")
PUT_OFF = Gauge(
    "marketplace_orders_put_off", "Orders that could not be moved by time or reminded of, for people to look at"
)


class OrderTimeouts:
    """Finds the orders that are due and calls TimeOutOrder for each."""

    def __init__(self, store: Store, time_out_order: TimeOutOrder, timeouts: Timeouts) -> None:
        self._store = store
        self._due_orders = DueOrders(store, time_out_order.execute, done=MOVED, failed=FAILED, name="moved by time")
        self._timeouts: dict[Waiting, timedelta] = {
            Waiting.ANSWER: timeouts.answer,
            Waiting.CAPTURE: -AUTHORIZATION_MARGIN,
            Waiting.APPROVAL: timeouts.approval,
            Waiting.DELIVERY: timeouts.overdue,
        }

    def move_due(self) -> int:
        """Move the orders that are due now. Return how many this call moved."""
        moved = sum(self._due_orders.act_on_all(waiting, timeout) for waiting, timeout in self._timeouts.items())
        PUT_OFF.set(self._store.put_off_orders.sweep())
        return moved
