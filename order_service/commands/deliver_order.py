"""Deliver the work of an order, with files."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from order_service.domain.lifecycle import Action, Command, Timeouts, move
from order_service.domain.order import Order
from order_service.store.store import Store
from servicekit.call import Caller
from servicekit.database import retry_conflicts


class DeliverOrder:
    """Take the seller's delivery, and send its files to the sides of the order."""

    def __init__(self, store: Store, timeouts: Timeouts) -> None:
        self._store = store
        self._timeouts = timeouts

    @retry_conflicts
    def execute(self, order_id: UUID, message: str, file_ids: Sequence[UUID], caller: Caller) -> Order:
        """Return the delivered order. Raises NotFound for the order or a file, Forbidden, Conflict.

        `file_ids` are uploads of the caller, each once.
        """
        assert caller.id is not None
        with self._store.transaction("order"):
            order, now = self._store.orders.lock(order_id)
            parties = order.parties(caller)
            # Before the action is checked: a file that is not there is the first thing to refuse.
            self._store.files.send_in_delivery(caller.id, file_ids, order_id, order.version + 1)
            change = move(order, Command(Action.DELIVER, message), parties, now=now, timeouts=self._timeouts)
            self._store.orders.save(change, now)
        return change.order
