"""Give an attempt to place an order up: void its payment, free its idempotency key, place nothing."""

from __future__ import annotations

import structlog
from prometheus_client import Counter

from order_service.commands.purchase import purchase_of
from order_service.domain.attempt import Attempt
from order_service.payments.gateway import Gateway
from order_service.store.store import Store
from servicekit.idempotency import IdempotencyKeys

GIVEN_UP = Counter(
    "marketplace_payment_attempts_given_up_total", "Placings that were voided without an order", ["state"]
)


class GiveUpPlacing:
    """Void the payment of an attempt, whatever has become of it. The caller holds the attempt's lock.

    That there will be no order is stored first, so that nobody authorizes the payment once the void has begun.
    """

    def __init__(self, store: Store, gateway: Gateway, idempotency_keys: IdempotencyKeys) -> None:
        self._store = store
        self._gateway = gateway
        self._idempotency_keys = idempotency_keys
        self._log = structlog.get_logger()

    def execute(self, attempt: Attempt) -> bool:
        """Return whether this call ended the attempt. Raises Unavailable, and then the attempt stays GIVING_UP."""
        with self._store.transaction("giving up"):
            if not self._store.attempts.give_up(attempt.order_id):
                return False
        self._gateway.abandon(purchase_of(attempt, self._store.now()))
        with self._store.transaction("given up"):
            is_ended = self._store.attempts.end_given_up(attempt.order_id)
            if is_ended:
                self._idempotency_keys.free(attempt.order_id)
        if is_ended:
            GIVEN_UP.labels(attempt.state).inc()
            self._log.warning("placing given up", order=str(attempt.order_id), state=attempt.state)
        return is_ended
