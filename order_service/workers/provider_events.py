"""Provider events: every worker takes those that wait at a provider that is polled.

The sandbox has no other way to report. Stripe has webhooks; it is asked as well, since a webhook may be lost.
"""

from __future__ import annotations

import structlog

from order_service.commands.record_provider_event import RecordProviderEvent
from order_service.domain.order import Status
from order_service.payments.gateway import ProviderEvent
from order_service.payments.providers import Payments
from order_service.store.store import Store
from servicekit.database import DatabaseAway
from servicekit.errors import Unavailable


class ProviderEventPolling:
    """Calls RecordProviderEvent for each event that waits."""

    def __init__(self, store: Store, payments: Payments, record_event: RecordProviderEvent) -> None:
        self._store = store
        self._payments = payments
        self._record_event = record_event
        # Events whose error was logged, so that the next tries do not fill the log.
        self._failed: set[str] = set()
        self._log = structlog.get_logger()

    def record_pending(self) -> None:
        """Record the events that wait. One that came too early, or that cannot be recorded, comes again."""
        self._report_completions()
        for event in self._payments.events.poll(self._store.provider_records):
            self._record(event)

    def _record(self, event: ProviderEvent) -> None:
        try:
            self._record_event.execute(event)
            self._payments.events.acknowledge(event.event_id)
        except DatabaseAway:
            raise
        except Unavailable:
            return
        except Exception:
            # One bad event must not hold up the others.
            if event.event_id not in self._failed:
                self._log.exception("provider event could not be recorded", provider_event=event.event_id)
            self._failed.add(event.event_id)
        else:
            self._failed.discard(event.event_id)

    def _report_completions(self) -> None:
        for order_id in self._payments.awaiting_completion():
            if self._store.orders.get(order_id).order.status is Status.COMPLETED:
                self._payments.on_completed(order_id)
