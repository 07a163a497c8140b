"""Finishes what was begun with the payment provider, and what nobody else has finished: a worker's round.

Every worker looks, and a name in the database keeps two from the same attempt. One whose outcome is still unknown rests
longer each time; it never expires.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from prometheus_client import Counter, Gauge

from order_service.cashier import REFUSALS, Cashier
from order_service.store import Store
from order_service.store.attempts import Attempt, Kind
from servicekit.database import DatabaseAway
from servicekit.errors import MarketplaceError

BATCH = 20
FIRST_REST_SECONDS = 0.5
LONGEST_REST_SECONDS = 30.0

WAITING = Gauge(
    "marketplace_payment_attempts", "Calls to the payment provider whose outcome is not known yet", ["kind"]
)
FINISHED = Counter("marketplace_payment_attempts_finished_total", "Attempts that a worker finished", ["kind"])


class Finisher:
    """Looks after the attempts that are due."""

    def __init__(self, store: Store, cashier: Cashier) -> None:
        self._store = store
        self._cashier = cashier
        self._log = structlog.get_logger()

    def finish_due(self) -> None:
        """Tries each attempt that is due once."""
        for attempt in self._store.attempts.due(BATCH):
            self._finish(attempt)
        waiting = self._store.attempts.waiting()
        for kind in Kind:
            WAITING.labels(kind).set(waiting.get(kind, 0))

    def _finish(self, attempt: Attempt) -> None:
        log = self._log.bind(kind=attempt.kind, order=str(attempt.order_id))
        try:
            self._cashier.finish(attempt)
        except REFUSALS as refused:
            log.info("attempt refused", reason=refused.message)
        except DatabaseAway:
            raise
        except MarketplaceError as error:
            if attempt.tries == 0:
                log.warning("attempt waits for the payment provider", code=error.code)
            self._store.attempts.put_off(attempt.order_id, rest(attempt.tries))
        except Exception:
            log.exception("attempt failed, trying again")
            self._store.attempts.put_off(attempt.order_id, rest(attempt.tries))
        else:
            FINISHED.labels(attempt.kind).inc()


def rest(tries: int) -> timedelta:
    """How long an attempt rests that failed so often before."""
    return timedelta(seconds=min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2.0 ** min(tries, 10)))
