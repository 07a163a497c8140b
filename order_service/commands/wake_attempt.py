"""Wake an attempt that the payment provider reports about."""

from __future__ import annotations

from order_service.payments.gateway import ConfirmationReport
from order_service.store.store import Store


class WakeAttempt:
    """Let payment recovery ask the provider now. The report itself is not believed: it may be old, or out of order."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, report: ConfirmationReport) -> None:
        """Make the order's attempt due, if it has one."""
        self._store.attempts.wake(report.order_id)
