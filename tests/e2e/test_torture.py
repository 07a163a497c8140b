"""A short torture; `make torture` is the long one."""

from __future__ import annotations

import pytest

from tests.torture.__main__ import a_stack, torture
from tests.torture.retries import Counts

LEAST = {
    "kills": 15,
    "orders placed": 11,
    "actions acknowledged": 31,
    "reviews": 1,
    "messages": 21,
    "files sent": 1,
    "offers ACCEPTED": 1,
    "events watched": 41,
    "events read from the feed": 41,
    "marks watched": 1,
}


# Two minutes until there was enough, four of waiting for quiet at the end, and two for a request that is retried.
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_or_stands_twice_whatever_is_killed() -> None:
    counts = Counts()
    stack = a_stack()
    try:
        differences = torture(stack.start(), seconds=20, clients=6, seed=7, counts=counts, least=LEAST)
    finally:
        stack.stop()

    assert differences == []
    assert {name: counts.numbers[name] for name, number in LEAST.items() if counts.numbers[name] < number} == {}
