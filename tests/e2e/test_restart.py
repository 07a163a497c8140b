"""`make restart` under a steady load of requests of each kind, in a stack with one process of everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local import envoy_admin
from tests.support.stack import UNLIMITED_WRITES, Stack, stack_command
from tests.support.steady_load import Outcome, Requests, steady_load

SECONDS = 300

pytestmark = [pytest.mark.alone, pytest.mark.timeout(SECONDS)]
PAUSES = dict.fromkeys(Requests.KINDS, 0.1) | {"order": 0.3, "upload": 0.4}


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """Start a stack whose processes the test replaces."""
    running = Stack(workers=1, **UNLIMITED_WRITES)
    try:
        yield running.start()
    finally:
        running.stop()


def test_no_request_fails_while_all_services_and_envoy_are_replaced(own_stack: Stack) -> None:
    before = {name: process.pid for name, process in own_stack.processes().items() if "-" in name}
    outcome = Outcome()

    with steady_load(own_stack, outcome, PAUSES, watchers=2) as load:
        restarted = stack_command(own_stack.data_dir, "restart")
        hints = sum(each.retry_hints for each in load)

    assert restarted.returncode == 0, restarted.stdout
    assert envoy_admin.epoch(own_stack.ports.envoy_admin) == 1
    assert outcome.failures == [], restarted.stdout
    assert set(outcome.done) >= set(Requests.KINDS)
    # Each watch has ended with the time after which to come back.
    assert hints >= 2
    after = {name: process.pid for name, process in own_stack.processes().items() if "-" in name}
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
