"""The measure of this folder: ordinary clients notice whether the stack serves them."""

from __future__ import annotations

import time

import pytest

from tests.support.bystanders import bystanders
from tests.support.memory import peak_mib, reset_peaks
from tests.support.stack import Stack

pytestmark = pytest.mark.alone


def test_ordinary_clients_alone_are_served(stack: Stack) -> None:
    with bystanders(stack) as others:
        time.sleep(1)
    others.require_served()


def test_a_request_that_fails_is_noticed(stack: Stack) -> None:
    with bystanders(stack) as others:
        time.sleep(0.5)
    others.failures.append("page after 0.1 s: 503")
    with pytest.raises(AssertionError, match="503"):
        others.require_served()


def test_the_peak_of_a_process_is_measured_since_the_last_reset(stack: Stack) -> None:
    reset_peaks(stack)
    peaks = peak_mib(stack)
    assert {"envoy", "gig-0", "order-1", "review-0", "gig-images", "order-events"} <= set(peaks)
    assert all(size > 5 for size in peaks.values())
