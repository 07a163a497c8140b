"""Around every call to a payment provider: its crash points, its time in the metrics, its line in the log, its limit.

Calls made for somebody who waits for an answer may hold at most half of a worker's threads: when the provider is slow,
everything else goes on. One more call waits for a moment, no longer, since it waits on a thread, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

import structlog
from prometheus_client import Histogram

from order_service.payments.gateway import Authorization, Gateway, ProviderPayment, ProviderPayout, Purchase, Transfer
from servicekit.call import current_call
from servicekit.crash import crash_point
from servicekit.errors import Unavailable

T = TypeVar("T")

PATIENCE_SECONDS = 0.05

SECONDS = Histogram(
    "marketplace_payment_call_seconds", "Calls to the payment provider, by what came of them", ["operation", "outcome"]
)


class InstrumentedGateway:
    """A Gateway around another. `threads` is how many calls a worker answers at once."""

    def __init__(self, gateway: Gateway, threads: int) -> None:
        self._gateway = gateway
        self._places = threading.Semaphore(max(1, threads // 2))
        self._log = structlog.get_logger()

    @property
    def minimum(self) -> Decimal:
        """See Gateway."""
        return self._gateway.minimum

    @property
    def needs_token(self) -> bool:
        """See Gateway."""
        return self._gateway.needs_token

    def authorize(self, purchase: Purchase) -> Authorization:
        """See Gateway."""
        return self._call("authorize", purchase.order_id, lambda: self._gateway.authorize(purchase))

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """See Gateway."""
        self._call("capture", order_id, lambda: self._gateway.capture(order_id, reference, amount))

    def void(self, order_id: UUID, reference: str) -> None:
        """See Gateway."""
        self._call("void", order_id, lambda: self._gateway.void(order_id, reference))

    def refund(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """See Gateway."""
        self._call("refund", order_id, lambda: self._gateway.refund(order_id, reference, amount))

    def pay_out(self, transfer: Transfer) -> str:
        """See Gateway."""
        return self._call("pay_out", transfer.payout_id, lambda: self._gateway.pay_out(transfer))

    def check_destination(self, destination: str) -> None:
        """See Gateway."""
        self._call("check_destination", None, lambda: self._gateway.check_destination(destination))

    def payments(self) -> Iterator[ProviderPayment]:
        """See Gateway."""
        return self._gateway.payments()

    def payouts(self) -> Iterator[ProviderPayout]:
        """See Gateway."""
        return self._gateway.payouts()

    def _call(self, operation: str, about: UUID | None, call: Callable[[], T]) -> T:
        """Makes a call between its crash points, `payments.<operation>:before` and `:after`."""
        is_waited_for = current_call.get() is not None
        if is_waited_for and not self._places.acquire(timeout=PATIENCE_SECONDS):
            SECONDS.labels(operation, "busy").observe(PATIENCE_SECONDS)
            raise Unavailable
        began = time.perf_counter()
        outcome = "ok"
        crash_point(f"payments.{operation}:before")
        try:
            return call()
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            if is_waited_for:
                self._places.release()
            seconds = time.perf_counter() - began
            SECONDS.labels(operation, outcome).observe(seconds)
            self._log.info(
                "payment call", operation=operation, about=str(about), outcome=outcome, ms=round(seconds * 1000, 2)
            )
            crash_point(f"payments.{operation}:after")
