"""The double: its routes, its idempotency keys, and the failures that a test asks for.

Idempotency keys (https://docs.stripe.com/api/idempotent_requests): the same key with the same parameters gets the same
response, a fault of Stripe included. With other parameters it is an `idempotency_error`, and while the first request is
running it is 409.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.stripe_double.errors import ApiError, Failure, Object, invalid
from tests.support.stripe_double.objects import expansions
from tests.support.stripe_double.refunds import Refunds
from tests.support.stripe_double.transfers import Transfers


@dataclass
class StripeDouble(Refunds, Transfers):
    """Stripe's objects, the failures to come, and the calls that were made."""

    failures: list[Failure] = field(default_factory=list)
    calls: list[tuple[str, str, Object, str]] = field(default_factory=list)
    url: str = ""
    # Seconds that each response takes.
    slowness: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._responses: dict[str, tuple[str, int, Object] | None] = {}

    def fail(self, path: str, status: int, **options: Any) -> None:
        """Let the next request of this path (a regular expression) fail with this status. Options: see Failure."""
        self.failures.append(Failure(path, status, **options))

    def forget_keys(self) -> None:
        """Forget all idempotency keys, as Stripe does after a day."""
        self._responses.clear()

    def hold_key(self, key: str) -> None:
        """Let a request with this idempotency key be under way, until the keys are forgotten."""
        with self._lock:
            self._responses[key] = None

    def handle(self, method: str, path: str, params: Object, key: str) -> tuple[int, Object, bool]:
        """Handle a request. Return its status, its body, and whether it repeats the response of an idempotency key."""
        self.calls.append((method, path, params, key))
        time.sleep(self.slowness)
        if method != "POST" or not key:
            return *self._attempt(method, path, params), False
        request = json.dumps([path, params], sort_keys=True)
        with self._lock:
            if key in self._responses:
                known = self._responses[key]
                if known is None:
                    return 409, ApiError(409, "idempotency_error", "idempotency_key_in_use").body, False
                if known[0] != request:
                    return 400, ApiError(400, "idempotency_error", "").body, False
                return known[1], known[2], True
            self._responses[key] = None
        status, body = self._attempt(method, path, params, lambda response: self._remember(key, request, response))
        with self._lock:
            # Stripe keeps a response once the work has begun; a request that failed before it may be repeated.
            if self._responses.get(key) is None:
                self._responses.pop(key, None)
        return status, body, False

    def _remember(self, key: str, request: str, response: tuple[int, Object]) -> None:
        with self._lock:
            self._responses[key] = (request, *response)

    def _attempt(
        self, method: str, path: str, params: Object, remember: Callable[[tuple[int, Object]], None] | None = None
    ) -> tuple[int, Object]:
        failure = next((each for each in self.failures if each.matches(method, path)), None)
        if failure:
            self.failures.remove(failure)
        if failure and failure.is_kept and remember:
            remember(failure.response)
        if failure and not failure.after:
            return failure.response
        try:
            response = 200, self._work(method, path, params)
        except ApiError as error:
            response = error.status, error.body
        # A deep copy: a kept response does not change with the objects.
        response = response[0], json.loads(json.dumps(response[1]))
        if remember and not (failure and failure.is_kept):
            remember(response)
        return failure.response if failure else response

    def _work(self, method: str, path: str, params: Object) -> Object:
        with self._lock:
            match method, path.removeprefix("/v1/").split("/"):
                case "POST", ["payment_intents"]:
                    return self._create_intent(params)
                case "GET", ["payment_intents"]:
                    return self._list_intents(params)
                case "GET", ["payment_intents", "search"]:
                    return self._search_intents(params)
                case "GET", ["payment_intents", name]:
                    return self._shown(self._intent(name), expansions(params))
                case "POST", ["payment_intents", name, "capture"]:
                    return self._capture(self._intent(name), params)
                case "POST", ["payment_intents", name, "cancel"]:
                    return self._cancel(self._intent(name))
                case "POST", ["refunds"]:
                    return self._refund(params)
                case "GET", ["refunds"]:
                    return self._list_refunds(params)
                case "GET", ["disputes"]:
                    return self._list_disputes(params)
                case "GET", ["events"]:
                    return self._list_events(params)
                case "POST", ["transfers"]:
                    return self._transfer(params)
                case "GET", ["transfers"]:
                    return self._list_transfers(params)
                case "GET", ["accounts", name]:
                    return self._account(name)
        raise invalid("url_invalid", status=404)
