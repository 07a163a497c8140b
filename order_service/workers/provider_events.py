"""Provider events: every worker takes those that wait at a provider that is polled, such as the sandbox."""

from __future__ import annotations

import structlog

from order_service.commands.record_chargeback import RecordChargeback
from order_service.payments.gateway import ProviderEvent
from order_service.payments.providers import Payments
from servicekit.database import DatabaseAway
from servicekit.errors import Unavailable

BATCH = 20


class ProviderEventPolling:
    """Calls RecordChargeback for each event that waits."""

    def __init__(self, payments: Payments, record_chargeback: RecordChargeback) -> None:
        self._payments = payments
        self._record_chargeback = record_chargeback
        # Events whose error was logged, so that the next tries do not fill the log.
        self._failed: set[str] = set()
        self._log = structlog.get_logger()

    def record_pending(self) -> None:
        """Record the events that wait, each on its own. One that came too early, or that fails, comes again."""
        for event in self._payments.pending_events(BATCH):
            self._record(event)

    def _record(self, event: ProviderEvent) -> None:
        try:
            self._record_chargeback.execute(event)
            self._payments.acknowledge(event.event_id)
        except DatabaseAway:
            raise
        except Unavailable:
            return
        except Exception:
            if event.event_id not in self._failed:
                self._log.exception("provider event could not be recorded, trying again", id=event.event_id)
            self._failed.add(event.event_id)
        else:
            self._failed.discard(event.event_id)
