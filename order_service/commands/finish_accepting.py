"""Finish the attempt to accept an order: capture its payment and store the outcome."""

from __future__ import annotations

from order_service.commands.record_report import RecordReport
from order_service.domain.lifecycle import Action, Command, end_capture
from order_service.domain.order import Order
from order_service.payments.gateway import Declined, Gateway
from order_service.store.attempts import Attempt
from order_service.store.store import Store


class FinishAccepting:
    """Capture the payment of an order and move the order on. The caller holds the attempt's lock."""

    def __init__(self, store: Store, gateway: Gateway, record_report: RecordReport) -> None:
        self._store = store
        self._gateway = gateway
        self._record_report = record_report

    def execute(self, attempt: Attempt) -> Order:
        """Return the order IN_PROGRESS, or CANCELLED when the provider refuses the capture for good.

        Raises Unavailable when the outcome is not known, and then the attempt stays.
        """
        order = self._store.orders.get(attempt.order_id).order
        try:
            captured = self._gateway.capture(order.id, order.payment_reference, order.price)
        except Declined:
            captured, command = None, Command(Action.CAPTURE_FAILED)
        else:
            command = Command(Action.ACCEPT, attempt.message)
        with self._store.transaction("accepted"):
            if not self._store.attempts.end(order.id):
                return self._store.orders.get(order.id).order
            order, now = self._store.orders.lock(order.id)
            change = end_capture(order, command, now)
            self._store.orders.save(change, now)
            return self._record_report.execute(order.id, captured) if captured else change.order
