"""Due orders: every worker acts on the orders whose time has come, and on each order once.

A worker locks the next order that is due and that nobody has locked, acts on it, and commits: each order has a
transaction of its own, and the workers share the orders between them. An order that fails is put off, and holds up no
other. Time is the database's, so all workers agree on it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

import structlog
from prometheus_client import Counter

from order_service.store.orders import FIRST_DUE, DueKey, DueOrder, Waiting
from order_service.store.store import Store
from servicekit.database import DatabaseAway, TransactionConflict
from servicekit.outbox.relay import error_text


class DueOrders:
    """Calls a command for each order that is due.

    `act` returns what it has done to the order, None for nothing. `done` counts that by action, `failed` counts the
    orders that were put off. `name` completes "order …" and "order could not be …" in the log.
    """

    def __init__(
        self,
        store: Store,
        act: Callable[[DueOrder], StrEnum | None],
        *,
        done: Counter,
        failed: Counter,
        name: str,
    ) -> None:
        self._store = store
        self._act = act
        self._done = done
        self._failed = failed
        self._name = name
        self._log = structlog.get_logger()

    def act_on_all(self, waiting: Waiting, wait: timedelta, after: DueKey = FIRST_DUE) -> int:
        """Act on the orders after this place that have waited for `wait`. Return how many this call acted on."""
        place: DueKey | None = after
        number = 0
        while place is not None:
            place, action = self._act_on_next(waiting, wait, place)
            number += action is not None
        return number

    def _act_on_next(self, waiting: Waiting, wait: timedelta, after: DueKey) -> tuple[DueKey | None, StrEnum | None]:
        """Act on the next order that is due. Return its place, None when there is none, and the action."""
        due: DueOrder | None = None
        try:
            with self._store.transaction("time"):
                due = self._store.orders.lock_next_due(waiting, wait, after)
                if due is None:
                    return None, None
                action = self._act(due)
        except DatabaseAway:
            raise
        except Exception as error:
            if due is None:
                raise
            self._handle_failure(due, error)
            return due.key, None
        if action is not None:
            self._done.labels(action).inc()
            self._log.info(f"order {self._name}", action=action, order=str(due.order.id))
        return due.key, action

    def _handle_failure(self, due: DueOrder, error: Exception) -> None:
        # Counted and logged already. The order is still due, and comes again in the next round.
        if isinstance(error, TransactionConflict):
            return
        self._failed.inc()
        self._log.error(f"order could not be {self._name}", order=str(due.order.id), exc_info=error)
        self._store.put_off_orders.put_off(due.order, error_text(error))
