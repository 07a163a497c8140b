"""Crash points and the limit on threads, around every call to a payment provider."""

from __future__ import annotations

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from unittest.mock import create_autospec

import pytest

from order_service.payments import instrumented
from order_service.payments.gateway import Gateway
from order_service.payments.instrumented import InstrumentedGateway
from servicekit.call import Call, current_call
from servicekit.errors import Unavailable
from servicekit.ids import new_id

# The gateway's facts, and the calls that only read the provider's records.
WITHOUT_CRASH_POINTS = {"minimum", "needs_token", "list_payments", "list_transfers"}
OPERATIONS = sorted({name for name in vars(Gateway) if not name.startswith("_")} - WITHOUT_CRASH_POINTS)


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of the crash points that are passed."""
    names: list[str] = []
    monkeypatch.setattr(instrumented, "crash_point", names.append)
    return names


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_call_to_a_provider_is_between_two_crash_points(passed: list[str], operation: str) -> None:
    inner: Any = create_autospec(Gateway, instance=True)
    arguments = [create_autospec(object) for _ in list(inspect.signature(getattr(Gateway, operation)).parameters)[1:]]
    for argument in arguments:
        argument.order_id = argument.payout_id = new_id()

    getattr(InstrumentedGateway(inner, threads=4), operation)(*arguments)

    getattr(inner, operation).assert_called_once_with(*arguments)
    assert passed == [f"payments.{operation}:before", f"payments.{operation}:after"]


def test_calls_with_a_waiting_caller_use_at_most_half_of_the_threads() -> None:
    inner: Any = create_autospec(Gateway, instance=True)
    both_running, release = threading.Barrier(3), threading.Event()

    def slowly(*arguments: object) -> None:
        both_running.wait(30)
        assert release.wait(30)

    inner.void.side_effect = slowly
    limited = InstrumentedGateway(inner, threads=4)

    def in_a_call() -> None:
        current_call.set(Call())
        limited.void(new_id(), "payment")

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(in_a_call) for _ in range(2)]
        both_running.wait(30)
        token = current_call.set(Call())
        with pytest.raises(Unavailable):
            limited.capture(new_id(), "payment", Decimal(1))
        current_call.reset(token)
        # No caller waits for a periodic task, so the limit does not apply to it.
        limited.capture(new_id(), "payment", Decimal(1))
        release.set()
        for call in calls:
            call.result(30)

    current_call.set(Call())
    limited.capture(new_id(), "payment", Decimal(1))
    current_call.set(None)
