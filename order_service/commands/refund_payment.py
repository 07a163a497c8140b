"""Make the refund that was decided for an order."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.settlement import refunded
from order_service.payments.gateway import ChargedBackError, Gateway
from order_service.store.store import Store


class RefundPayment:
    """Refund the buyer at the provider, then in the order and the ledger. Repeating it does nothing."""

    def __init__(self, store: Store, gateway: Gateway) -> None:
        self._store = store
        self._gateway = gateway

    def execute(self, order_id: UUID) -> None:
        """Make the refund. Raises Unavailable when it has to be tried again."""
        order = self._store.orders.get(order_id).order
        amount = order.refund_due - order.refunded
        if not amount:
            return
        by_bank = False
        try:
            self._gateway.refund(order.id, order.payment_reference, amount)
        except ChargedBackError:
            by_bank = True
        with self._store.transaction("order"):
            order, now = self._store.orders.lock(order_id)
            # Otherwise another worker, which had the same refund to make, was faster.
            if order.refund_due - order.refunded == amount:
                self._store.orders.save(refunded(order, amount, by_bank=by_bank), now)
