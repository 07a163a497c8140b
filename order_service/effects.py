"""What the payment provider is told after a change: to let go of a hold, or to give money back.

The outbox brings each row here until it is done. The provider does nothing twice, and neither do we: what it did is
stored in the transaction that takes the row away.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from order_service.domain.order import Change, Order, Task
from order_service.domain.payment import PaymentStatus
from order_service.domain.settlement import refunded, voided
from order_service.payments.gateway import ChargedBackError, Gateway
from order_service.store import Store
from servicekit.outbox import Message


class Effects:
    """Delivers the outbox's topic PAYMENTS."""

    def __init__(self, store: Store, gateway: Gateway) -> None:
        self._store = store
        self._gateway = gateway

    def deliver(self, message: Message) -> None:
        """Does what the row says. Raises Unavailable when the provider has to be asked again."""
        order = self._store.orders.get(UUID(message.key)).order
        match Task(message.payload["task"]):
            case Task.VOID:
                self._void(order)
            case Task.REFUND:
                self._refund(order)

    def _void(self, order: Order) -> None:
        if order.payment_status is PaymentStatus.VOIDED:
            return
        self._gateway.void(order.id, order.payment_reference)
        self._store.orders.change(order.id, lambda found, now: voided(found))

    def _refund(self, order: Order) -> None:
        amount = order.refund_due - order.refunded
        if not amount:
            return
        by_bank = False
        try:
            self._gateway.refund(order.id, order.payment_reference, amount)
        except ChargedBackError:
            by_bank = True

        def settle(found: Order, now: datetime) -> Change:
            return refunded(found, amount, by_bank=by_bank)

        self._store.orders.change(order.id, settle)
