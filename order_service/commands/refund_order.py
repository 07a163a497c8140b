"""Refund a completed order, in whole or in part, as an admin."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.ledger import Account
from order_service.domain.lifecycle import Command, Timeouts, move
from order_service.domain.order import Order
from order_service.store.store import Store
from servicekit.call import Caller
from servicekit.database import retry_conflicts
from servicekit.errors import Conflict


class RefundOrder:
    """Decide a refund after the end of an order; RefundPayment makes it."""

    def __init__(self, store: Store, timeouts: Timeouts) -> None:
        self._store = store
        self._timeouts = timeouts

    @retry_conflicts
    def execute(self, order_id: UUID, command: Command, caller: Caller) -> Order:
        """Return the order after the refund. Raises NotFound, Forbidden, Conflict, InvalidArgument."""
        with self._store.transaction("order"):
            order, now = self._store.orders.lock(order_id)
            change = move(order, command, order.parties(caller), now=now, timeouts=self._timeouts)
            lines = [line for posting in change.postings for line in posting.lines]
            taken = -sum(line.amount for line in lines if line.account is Account.AVAILABLE)
            self._store.ledger.lock(order.seller_id)
            available = self._store.ledger.balance(order.seller_id).available
            if taken > available:
                raise Conflict(f"The seller has {available} available", code="INSUFFICIENT_BALANCE")
            self._store.orders.save(change, now)
        return change.order
