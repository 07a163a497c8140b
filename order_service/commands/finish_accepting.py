"""Finish the attempt to accept an order: capture its payment and store the outcome."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from order_service.commands.record_report import RecordReport
from order_service.domain.attempt import Attempt
from order_service.domain.lifecycle import Action, Command, end_capture
from order_service.domain.order import Order
from order_service.payments.gateway import Declined, Gateway, PaymentReport
from order_service.store.store import Store
from servicekit.database import retry_conflicts
from servicekit.errors import Unavailable


class FinishAccepting:
    """Capture the payment of an order and move the order on. The caller holds the attempt's lock."""

    def __init__(self, store: Store, gateway: Gateway, record_report: RecordReport) -> None:
        self._store = store
        self._gateway = gateway
        self._record_report = record_report

    def execute(self, attempt: Attempt, order: Order, now: datetime) -> Order | None:
        """Return the order IN_PROGRESS, or CANCELLED when the capture is refused for good; None when it ended before.

        `order` is the one that is being captured, as it was read at `now` (aware).

        Raises Unavailable when the outcome is not known, and then the attempt stays until the authorization lapses:
        from then on no capture can succeed, and the order is CANCELLED. The void that follows shows whether an earlier
        one has succeeded, and then the money is refunded.
        """
        command = Command(Action.ACCEPT, attempt.message)
        try:
            captured = self._gateway.capture(order.id, order.payment_reference, order.price)
        except Declined:
            captured, command = None, Command(Action.CAPTURE_FAILED)
        except Unavailable:
            if order.capture_before is None or now < order.capture_before:
                raise
            captured, command = None, Command(Action.CAPTURE_FAILED)
        return self._end(order.id, command, captured)

    @retry_conflicts
    def _end(self, order_id: UUID, command: Command, captured: PaymentReport | None) -> Order | None:
        """Store the outcome, unless somebody else has. `captured` is the provider's report of a capture."""
        with self._store.transaction("accepted"):
            if not self._store.attempts.end(order_id):
                return None
            order, now = self._store.orders.lock(order_id)
            change = end_capture(order, command, now)
            if captured is not None:
                change = self._record_report.apply_to(change, captured, now)
            self._store.orders.save(change, now)
            self._store.unlock_attempt_with_commit(order_id)
        return change.order
