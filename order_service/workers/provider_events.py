"""Provider events: every worker takes those that wait at a provider that is polled, such as the sandbox."""

from __future__ import annotations

import contextlib

from order_service.commands.record_provider_event import RecordProviderEvent
from order_service.payments.providers import Payments
from servicekit.errors import Unavailable

BATCH = 20


class ProviderEventPolling:
    """Calls RecordProviderEvent for each event that waits."""

    def __init__(self, payments: Payments, record_event: RecordProviderEvent) -> None:
        self._payments = payments
        self._record_event = record_event

    def record_pending(self) -> None:
        """Record the events that wait. An event that came too early comes again."""
        for event in self._payments.pending_events(BATCH):
            with contextlib.suppress(Unavailable):
                self._record_event.execute(event)
                self._payments.acknowledge(event.event_id)
