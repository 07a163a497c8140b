"""What passing time does to orders: a thread in every worker, and each order is moved once.

The orders of a batch are locked while they are moved, and those that another worker has locked are skipped. A worker
that dies leaves its batch as it was, for the next one. Time is the database's, so all workers agree on it.
"""

from __future__ import annotations

import threading
from datetime import datetime

import structlog
from prometheus_client import Counter

from order_service.domain.lifecycle import Action, Patience, move
from order_service.domain.order import Change, Order, Party
from order_service.store import Store
from servicekit.database import Database, DatabaseAway

POLL_SECONDS = 1.0
STOP_SECONDS = 1.0
# Small, so that nobody who acts on one of these orders waits long for its lock.
BATCH = 50

SYSTEM = frozenset({Party.SYSTEM})
MOVED = Counter(
    "marketplace_orders_timed_out_total", "Orders that this worker moved because time had passed", ["action"]
)


class Timekeeper:
    """Moves the orders that waited for people in vain. It waits out a database that is away."""

    def __init__(self, store: Store, database: Database, patience: Patience) -> None:
        self._store = store
        self._database = database
        self._patience = patience
        self._waits = {Action.EXPIRE: patience.answer, Action.AUTO_COMPLETE: patience.approval}
        self._stopping = threading.Event()
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name="timekeeper", daemon=True)

    def start(self) -> None:
        """Begins with what has become due while nobody looked."""
        self._thread.start()

    def stop(self) -> None:
        """Lets a batch under way end, for a second at most; one that hangs is left for the next worker."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def move_due(self) -> int:
        """Moves all that is due now and that no other worker is about to move; how many orders that were."""
        total = 0
        for action in self._waits:
            while not self._stopping.is_set() and (moved := self._move_batch(action)):
                total += moved
        return total

    def _move_batch(self, action: Action) -> int:
        def decide(order: Order, now: datetime) -> Change:
            return move(order, action, SYSTEM, now=now, patience=self._patience)

        moved = self._store.orders.change_waiting(action, self._waits[action], decide, limit=BATCH)
        if moved:
            MOVED.labels(action).inc(len(moved))
            self._log.info("orders moved by time", action=action, orders=[str(order.id) for order in moved])
        return len(moved)

    def _run(self) -> None:
        away = False
        while not self._stopping.is_set():
            try:
                self.move_due()
                away = False
            except DatabaseAway as error:
                if not away:
                    self._log.warning("orders' time waits for the database", reason=str(error.__cause__).strip())
                away = True
            except Exception:
                self._log.exception("moving orders by time failed, trying again")
                self._database.close()
            self._stopping.wait(POLL_SECONDS)
        self._database.close()
