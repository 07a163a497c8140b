"""Payment recovery: every worker looks for attempts that nobody has finished, and finishes them.

An advisory lock keeps two workers from the same attempt. An attempt whose outcome is still unknown is tried again after
a back-off. A placing that stays open too long is given up: its payment is voided, and that is tried until it is done.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from prometheus_client import Counter, Gauge

from order_service.commands.finish_placing import REFUSALS
from order_service.commands.recover_attempt import RecoverAttempt
from order_service.domain.attempt import Attempt, Kind
from order_service.store.store import Store
from servicekit.database import Database, DatabaseAway
from servicekit.errors import MarketplaceError
from servicekit.side_by_side import side_by_side

BATCH = 40
# Calls to the provider at once: one that does not answer must not hold up the others.
AT_ONCE = 8
FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0

WAITING = Gauge(
    "marketplace_payment_attempts", "Calls to the payment provider whose outcome is not known yet", ["kind"]
)
FINISHED = Counter("marketplace_payment_attempts_finished_total", "Attempts that this worker finished", ["kind"])


class PaymentRecovery:
    """Calls RecoverAttempt for each attempt that is due."""

    def __init__(self, database: Database, store: Store, recover_attempt: RecoverAttempt) -> None:
        self._database = database
        self._store = store
        self._recover_attempt = recover_attempt
        self._log = structlog.get_logger()

    def recover_due(self) -> None:
        """Try each attempt that is due once."""
        side_by_side(self._recover, self._store.attempts.due(BATCH), AT_ONCE, self._database)
        counts = self._store.attempts.counts()
        for kind in Kind:
            WAITING.labels(kind).set(counts.get(kind, 0))

    def _recover(self, attempt: Attempt) -> None:
        log = self._log.bind(kind=attempt.kind, order=str(attempt.order_id))
        try:
            if self._recover_attempt.execute(attempt.order_id):
                FINISHED.labels(attempt.kind).inc()
        except REFUSALS as refusal:
            FINISHED.labels(attempt.kind).inc()
            log.info("attempt refused", reason=refusal.message)
        except DatabaseAway:
            raise
        except MarketplaceError as error:
            if attempt.tries == 0:
                log.warning("attempt waits for the payment provider", code=error.code, state=attempt.state)
            self._store.attempts.postpone(attempt.order_id, backoff(attempt.tries))
        except Exception:
            log.exception("attempt failed, trying again")
            self._store.attempts.postpone(attempt.order_id, backoff(attempt.tries))


def backoff(tries: int) -> timedelta:
    """Return how long an attempt waits after so many failed tries."""
    return timedelta(seconds=min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(tries, 10)))
