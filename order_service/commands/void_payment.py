"""Void the authorization of an order that was called off."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.payment import PaymentStatus
from order_service.domain.settlement import captured_though_cancelled, voided
from order_service.payments.gateway import AlreadyCapturedError, Gateway
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
        after = voided
        try:
            self._gateway.void(order.id, order.payment_reference)
        except AlreadyCapturedError:
            # A capture that was in doubt until its authorization lapsed: the money goes back.
            after = captured_though_cancelled
        with self._store.transaction("order"):
            order, now = self._store.orders.lock(order_id)
            if order.payment_status is PaymentStatus.AUTHORIZED:
                self._store.orders.save(after(order), now)
