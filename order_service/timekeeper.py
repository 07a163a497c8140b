"""What passing time does to orders: a round in every worker, and each order is moved once.

The orders of a batch are locked while they are moved, and those that another worker has locked are skipped. A worker
that dies leaves its batch as it was, for the next one. Time is the database's, so all workers agree on it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter

from order_service.domain.lifecycle import LAST_MOMENT, Action, Command, Timeouts, move
from order_service.domain.order import Change, Order, Party
from order_service.store import Store
from order_service.store.orders import Waiting

# Small, so that nobody who acts on one of these orders waits long for its lock.
BATCH = 50

SYSTEM = frozenset({Party.SYSTEM})
MOVED = Counter(
    "marketplace_orders_timed_out_total", "Orders that this worker moved because time had passed", ["action"]
)


class Timekeeper:
    """Moves the orders that waited for people in vain."""

    def __init__(self, store: Store, timeouts: Timeouts) -> None:
        self._store = store
        self._timeouts = timeouts
        self._waits: tuple[tuple[Waiting, timedelta, Action], ...] = (
            (Waiting.UNANSWERED, timeouts.answer, Action.EXPIRE),
            (Waiting.LAPSING, -LAST_MOMENT, Action.EXPIRE),
            (Waiting.UNAPPROVED, timeouts.approval, Action.AUTO_COMPLETE),
        )
        self._log = structlog.get_logger()

    def move_due(self) -> int:
        """Moves all that is due now and that no other worker is about to move; how many orders that were."""
        total = 0
        for waiting, timeouts, action in self._waits:
            while moved := self._move_batch(waiting, timeouts, action):
                total += moved
        return total

    def _move_batch(self, waiting: Waiting, timeouts: timedelta, action: Action) -> int:
        def decide(order: Order, now: datetime) -> Change:
            return move(order, Command(action), SYSTEM, now=now, timeouts=self._timeouts)

        moved = self._store.orders.change_waiting(waiting, timeouts, decide, limit=BATCH)
        if moved:
            MOVED.labels(action).inc(len(moved))
            self._log.info("orders moved by time", action=action, orders=[str(order.id) for order in moved])
        return len(moved)
