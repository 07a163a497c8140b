"""What stands around every call to a payment provider."""

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

# What only reads the provider's book, or is a fact about it.
WITHOUT_CRASH_POINTS = {"minimum", "needs_token", "payments", "payouts"}
OPERATIONS = sorted({name for name in vars(Gateway) if not name.startswith("_")} - WITHOUT_CRASH_POINTS)


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the crash points that are passed."""
    names: list[str] = []
    monkeypatch.setattr(instrumented, "crash_point", names.append)
    return names


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_call_to_a_provider_stands_between_crash_points(passed: list[str], operation: str) -> None:
    inner: Any = create_autospec(Gateway, instance=True)
    arguments = [create_autospec(object) for _ in list(inspect.signature(getattr(Gateway, operation)).parameters)[1:]]
    for argument in arguments:
        argument.order_id = argument.payout_id = new_id()

    getattr(InstrumentedGateway(inner, threads=4), operation)(*arguments)

    getattr(inner, operation).assert_called_once_with(*arguments)
    assert passed == [f"payments.{operation}:before", f"payments.{operation}:after"]


def test_calls_that_somebody_waits_for_hold_at_most_half_of_the_threads() -> None:
    inner: Any = create_autospec(Gateway, instance=True)
    inside, go_on = threading.Barrier(3), threading.Event()

    def slowly(*arguments: object) -> None:
        inside.wait(5)
        assert go_on.wait(5)

    inner.void.side_effect = slowly
    limited = InstrumentedGateway(inner, threads=4)

    def in_a_call() -> None:
        current_call.set(Call())
        limited.void(new_id(), "payment")

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(in_a_call) for _ in range(2)]
        inside.wait(5)
        token = current_call.set(Call())
        with pytest.raises(Unavailable):
            limited.capture(new_id(), "payment", Decimal(1))
        current_call.reset(token)
        # A worker's own rounds make nobody wait.
        limited.capture(new_id(), "payment", Decimal(1))
        go_on.set()
        for each in waiting:
            each.result(5)

    current_call.set(Call())
    limited.capture(new_id(), "payment", Decimal(1))
    current_call.set(None)
