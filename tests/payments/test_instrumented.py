"""Crash points around every call to a payment provider."""

from __future__ import annotations

import inspect
from typing import Any
from unittest.mock import create_autospec

import pytest

from order_service.payments import instrumented
from order_service.payments.gateway import Gateway
from order_service.payments.instrumented import InstrumentedGateway
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

    getattr(InstrumentedGateway(inner), operation)(*arguments)

    getattr(inner, operation).assert_called_once_with(*arguments)
    assert passed == [f"payments.{operation}:before", f"payments.{operation}:after"]
