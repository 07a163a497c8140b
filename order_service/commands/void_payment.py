"""Void the authorization of an order that was called off."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.payment import PaymentStatus
from order_service.domain.settlement import voided
from order_service.payments.gateway import Gateway
from order_service.store.store import Store


class VoidPayment:
    """Void a payment at the provider, then in the order. Repeating it does nothing."""

    def __init__(self, store: Store, gateway: Gateway) -> None:
        self._store = store
        self._gateway = gateway

    def execute(self, order_id: UUID) -> None:
        """Void the payment. Raises Unavailable when it has to be tried again."""
        order = self._store.orders.get(order_id).order
        if order.payment_status is PaymentStatus.VOIDED:
            return
        self._gateway.void(order.id, order.payment_reference)
        with self._store.transaction("order"):
            order, now = self._store.orders.lock(order_id)
            self._store.orders.save(voided(order), now)
