"""The time that a call has left, for itself and for outgoing calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from servicekit.call import Call, current_call, remaining_seconds, require_time, require_time_to_begin
from servicekit.errors import DeadlineExceeded


@contextmanager
def a_call(seconds: float | None) -> Iterator[Call]:
    """Run the block as the handler of a call with this much time left."""
    call = Call(deadline=None if seconds is None else time.monotonic() + seconds)
    token = current_call.set(call)
    try:
        yield call
    finally:
        current_call.reset(token)


@pytest.mark.parametrize("seconds", [None, 60])
def test_with_time_enough_an_outgoing_call_gets_its_limit(seconds: float | None) -> None:
    with a_call(seconds) as call:
        require_time_to_begin(call)
        require_time()

        assert remaining_seconds(3) == 3


def test_outside_of_a_call_an_outgoing_call_gets_its_limit() -> None:
    require_time()

    assert remaining_seconds(3) == 3


def test_an_outgoing_call_leaves_time_for_the_response() -> None:
    with a_call(60):
        assert 50 < remaining_seconds(100) < 59.91


def test_a_call_with_50_milliseconds_left_may_not_begin() -> None:
    with a_call(0.05) as call, pytest.raises(DeadlineExceeded):
        require_time_to_begin(call)


@pytest.mark.parametrize("seconds", [-1, 0.05, 0.19])
def test_an_outgoing_call_that_would_have_less_than_100_milliseconds_is_refused(seconds: float) -> None:
    with a_call(seconds), pytest.raises(DeadlineExceeded):
        remaining_seconds(3)


@pytest.mark.parametrize("seconds", [-1, 0.05, 0.19, 0.29])
def test_without_time_for_a_commit_and_an_outgoing_call_a_command_is_refused(seconds: float) -> None:
    with a_call(seconds), pytest.raises(DeadlineExceeded):
        require_time()
