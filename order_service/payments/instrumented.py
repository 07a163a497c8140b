"""A gateway around another one, which adds crash points, metrics and log lines to every call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from prometheus_client import Histogram

from order_service.payments.gateway import (
    AuthorizationResult,
    Gateway,
    PaymentReport,
    ProviderPayment,
    ProviderRefund,
    Purchase,
    RefundRequest,
    Transfer,
    TransferReport,
)
from servicekit.crash import crash_point
from servicekit.database import DatabaseAway
from servicekit.errors import Unavailable
from servicekit.logs import log_frequent

T = TypeVar("T")

SECONDS = Histogram(
    "marketplace_payment_call_seconds", "Calls to the payment provider, by outcome", ["operation", "outcome"]
)


class InstrumentedGateway:
    """A Gateway around another."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @property
    def minimum(self) -> Decimal:
        """See Gateway."""
        return self._gateway.minimum

    @property
    def needs_token(self) -> bool:
        """See Gateway."""
        return self._gateway.needs_token

    def authorize(self, purchase: Purchase) -> AuthorizationResult:
        """See Gateway."""
        return self._call("authorize", purchase.order_id, lambda: self._gateway.authorize(purchase))

    def abandon(self, purchase: Purchase) -> None:
        """See Gateway."""
        self._call("abandon", purchase.order_id, lambda: self._gateway.abandon(purchase))

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> PaymentReport:
        """See Gateway."""
        return self._call("capture", order_id, lambda: self._gateway.capture(order_id, reference, amount))

    def void(self, order_id: UUID, reference: str) -> None:
        """See Gateway."""
        self._call("void", order_id, lambda: self._gateway.void(order_id, reference))

    def refund(self, request: RefundRequest) -> ProviderRefund:
        """See Gateway."""
        return self._call("refund", request.order_id, lambda: self._gateway.refund(request))

    def pay_out(self, transfer: Transfer) -> str:
        """See Gateway."""
        return self._call("pay_out", transfer.payout_id, lambda: self._gateway.pay_out(transfer))

    def check_destination(self, destination: str) -> None:
        """See Gateway."""
        self._call("check_destination", None, lambda: self._gateway.check_destination(destination))

    def look_up(self, order_id: UUID, reference: str) -> PaymentReport:
        """See Gateway."""
        return self._call("look_up", order_id, lambda: self._gateway.look_up(order_id, reference))

    def list_payments(self, since: datetime, until: datetime) -> Iterator[ProviderPayment]:
        """See Gateway."""
        return self._gateway.list_payments(since, until)

    def list_transfers(self, since: datetime, until: datetime) -> Iterator[TransferReport]:
        """See Gateway."""
        return self._gateway.list_transfers(since, until)

    def _call(self, operation: str, about: UUID | None, call: Callable[[], T]) -> T:
        """Make a call between its crash points, `payments.<operation>:before` and `:after`."""
        started = time.perf_counter()
        outcome = "ok"
        crash_point(f"payments.{operation}:before")
        try:
            return call()
        except DatabaseAway as error:
            # The sandbox's own database: the provider is away, not ours.
            outcome = "Unavailable"
            raise Unavailable from error
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            seconds = time.perf_counter() - started
            SECONDS.labels(operation, outcome).observe(seconds)
            fields = {"operation": operation, "about": str(about), "outcome": outcome, "ms": round(seconds * 1000, 2)}
            log_frequent("payment call", fields)
            crash_point(f"payments.{operation}:after")
