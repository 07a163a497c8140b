"""Void the authorization of an order that was called off."""

from __future__ import annotations

from uuid import UUID

from order_service.commands.record_report import RecordReport
from order_service.domain.payment import PaymentStatus
from order_service.domain.settlement import captured_though_cancelled, voided
from order_service.payments.gateway import AlreadyCapturedError, Gateway, PaymentReport
from order_service.store.store import Store
from servicekit.database import retry_conflicts


class VoidPayment:
    """Void a payment at the provider, then in the order. Repeating it does nothing."""

    def __init__(self, store: Store, gateway: Gateway, record_report: RecordReport) -> None:
        self._store = store
        self._gateway = gateway
        self._record_report = record_report

    def execute(self, order_id: UUID) -> None:
        """Void the payment. Raises Unavailable when it has to be tried again."""
        order = self._store.orders.get(order_id).order
        if order.payment_status is PaymentStatus.VOIDED:
            return
        captured = None
        try:
            self._gateway.void(order.id, order.payment_reference)
        except AlreadyCapturedError:
            captured = self._gateway.look_up(order.id, order.payment_reference)
        self._end(order.id, captured)

    @retry_conflicts
    def _end(self, order_id: UUID, captured: PaymentReport | None) -> None:
        """Store that the payment is voided, or that it was captured: its capture was in doubt until it lapsed."""
        with self._store.transaction("order"):
            order, now = self._store.orders.lock(order_id)
            if order.payment_status is PaymentStatus.AUTHORIZED:
                # Captured money goes back.
                self._store.orders.save(captured_though_cancelled(order) if captured else voided(order), now)
            if captured is not None:
                self._record_report.execute(order_id, captured)
