"""Record an event that the payment provider reports by itself."""

from __future__ import annotations

from typing import assert_never

import structlog

from order_service.commands.record_report import RecordReport
from order_service.commands.record_transfer import RecordTransfer
from order_service.commands.wake_attempt import WakeAttempt
from order_service.payments.gateway import ConfirmationReport, PaymentReport, ProviderEvent, TransferReport
from order_service.store.store import Store
from servicekit.database import retry_conflicts


class RecordProviderEvent:
    """Store an event and its consequences together, once."""

    def __init__(
        self, store: Store, record_report: RecordReport, record_transfer: RecordTransfer, wake_attempt: WakeAttempt
    ) -> None:
        self._store = store
        self._record_report = record_report
        self._record_transfer = record_transfer
        self._wake_attempt = wake_attempt
        self._log = structlog.get_logger()

    @retry_conflicts
    def execute(self, event: ProviderEvent) -> None:
        """Record the event. Raises Unavailable when it has to come again later."""
        with self._store.transaction("provider event"):
            if self._store.provider_records.record_event(event.event_id):
                self._record(event)

    def _record(self, event: ProviderEvent) -> None:
        report, log = event.report, self._log.bind(provider_event=event.event_id)
        match report:
            case PaymentReport():
                order_id = self._store.orders.id_by_payment(report.reference)
                if order_id is None:
                    log.warning("report of a payment that is not ours", reference=report.reference)
                    return
                self._record_report.execute(order_id, report)
                log.info("report taken", order=str(order_id))
            case TransferReport():
                self._record_transfer.execute(report)
                log.info("report taken", payout=str(report.payout_id))
            case ConfirmationReport():
                self._wake_attempt.execute(report)
            case _:
                assert_never(report)
