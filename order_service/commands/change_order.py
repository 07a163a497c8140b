"""Decline, cancel, extend, revise, complete, dispute or resolve an order."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.lifecycle import Command, Timeouts, move
from order_service.domain.order import Order
from order_service.store.store import Store
from servicekit.call import Caller
from servicekit.database import retry_conflicts


class ChangeOrder:
    """Take an action on an order that needs no response from the payment provider, and has no files."""

    def __init__(self, store: Store, timeouts: Timeouts) -> None:
        self._store = store
        self._timeouts = timeouts

    @retry_conflicts
    def execute(self, order_id: UUID, command: Command, caller: Caller) -> Order:
        """Return the changed order. Raises NotFound, Forbidden, Conflict, InvalidArgument."""
        with self._store.transaction("order"):
            order, now = self._store.orders.lock(order_id)
            change = move(order, command, order.parties(caller), now=now, timeouts=self._timeouts)
            self._store.orders.save(change, now)
        return change.order
