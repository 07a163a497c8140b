"""A short torture; `make torture` is the long one."""

from __future__ import annotations

import pytest

from tests.torture.__main__ import a_stack, torture
from tests.torture.retries import Counts


# Two minutes of waiting for quiet at the end, and as long for a request that is retried.
@pytest.mark.timeout(400)
def test_nothing_acknowledged_is_lost_or_stands_twice_whatever_is_killed() -> None:
    counts = Counts()
    stack = a_stack()
    try:
        differences = torture(stack.start(), seconds=20, clients=6, seed=7, counts=counts, kills=15)
    finally:
        stack.stop()

    assert differences == []
    assert counts.numbers["orders placed"] > 10
    assert counts.numbers["actions acknowledged"] > 30
    assert counts.numbers["events watched"] > 40
    assert counts.numbers["events read from the feed"] > 40
    assert counts.numbers["reviews"] > 0
    assert counts.numbers["messages"] > 20
    assert counts.numbers["marks watched"] > 0
    assert counts.numbers["files sent"] > 0
    assert counts.numbers["offers ACCEPTED"] > 0
