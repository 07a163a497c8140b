"""Finish the attempt to accept an order: capture its payment and store the outcome."""

from __future__ import annotations

from order_service.domain.lifecycle import Action, Command, end_capture
from order_service.domain.order import Order
from order_service.payments.gateway import Declined, Gateway
from order_service.store.attempts import Attempt
from order_service.store.store import Store


class FinishAccepting:
    """Capture the payment of an order and move the order on. The caller holds the attempt's lock."""

    def __init__(self, store: Store, gateway: Gateway) -> None:
        self._store = store
        self._gateway = gateway

    def execute(self, attempt: Attempt) -> Order:
        """Return the order IN_PROGRESS, or CANCELLED when the provider refuses the capture for good.

        Raises Unavailable when the outcome is not known, and then the attempt stays.
        """
        order = self._store.orders.get(attempt.order_id).order
        try:
            self._gateway.capture(order.id, order.payment_reference, order.price)
        except Declined:
            command = Command(Action.CAPTURE_FAILED)
        else:
            command = Command(Action.ACCEPT, attempt.message)
        with self._store.transaction("accepted"):
            if not self._store.attempts.end(order.id):
                return self._store.orders.get(order.id).order
            order, now = self._store.orders.lock(order.id)
            change = end_capture(order, command, now)
            self._store.orders.save(change, now)
        return change.order
