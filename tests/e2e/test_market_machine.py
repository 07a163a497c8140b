"""The public API of a running stack, driven at random and held against a model in memory, money included."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from deploy.local.postgres import database_url
from servicekit.clock import Clock
from servicekit.database import Database
from tests.support.marketmachine.machine import Participants
from tests.support.marketmachine.offering import Offering
from tests.support.marketmachine.paying import Paying
from tests.support.stack import UNLIMITED_WRITES, Stack


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """Start a stack whose time nobody else moves."""
    running = Stack(**UNLIMITED_WRITES)
    try:
        yield running.start()
    finally:
        running.stop()


def machine(make_people: Callable[[], Participants]) -> type[RuleBasedStateMachine]:
    """Return the state machine for a stack."""

    class Market(Offering, Paying):
        make = staticmethod(make_people)

    return Market


# Hundreds of steps, each with several requests.
@pytest.mark.timeout(400)
def test_whatever_people_do_the_marketplace_does_as_the_contract_says(own_stack: Stack) -> None:
    database = Database(database_url(own_stack.layout, "orders"))
    clock = Clock(database)
    bounds = settings(
        max_examples=12,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(machine(lambda: Participants(own_stack, clock)), settings=bounds)

    database.close()
