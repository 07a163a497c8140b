"""Adjust the available balance of a seller."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from order_service.domain.balance import Adjustment, Entry, check_adjustment
from order_service.domain.ledger import adjusted
from order_service.store.ledger import START
from order_service.store.store import Store
from servicekit.database import retry_conflicts
from servicekit.errors import Forbidden, NotFound
from servicekit.ids import new_id


class AdjustBalance:
    """Add an amount to a seller's available balance, or take it, against the platform's account of adjustments."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @retry_conflicts
    def execute(self, seller_id: UUID, admin_id: UUID, amount: Decimal, message: str) -> Entry:
        """Return the entry of the adjustment. `amount` is in major units, above or below zero.

        Raises Forbidden for the admin's own balance, NotFound for a seller without an order or an entry, and Conflict
        (INSUFFICIENT_BALANCE) when the balance would fall below zero.
        """
        if seller_id == admin_id:
            raise Forbidden("You cannot adjust your own balance")
        with self._store.transaction("adjustment"):
            if not (self._store.orders.has_sold(seller_id) or self._store.ledger.has_entries(seller_id)):
                raise NotFound("Seller")
            self._store.ledger.lock(seller_id)
            check_adjustment(amount, self._store.ledger.balance(seller_id).available)
            adjustment = Adjustment(new_id(), seller_id, admin_id, amount, message, self._store.now())
            self._store.adjustments.add(adjustment)
            self._store.ledger.post(adjusted(adjustment.id, seller_id, amount, message), adjustment.at)
            [entry] = self._store.ledger.entries(seller_id, after=START, limit=1)
        return entry
