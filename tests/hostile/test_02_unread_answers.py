"""A client that does not read its answers keeps no memory beyond a bound, and stops no other client."""

from __future__ import annotations

import time

import pytest

from tests.support.attackers import UnreadStreams
from tests.support.bystanders import bystanders
from tests.support.memory import peak_mib, reset_peaks
from tests.support.stack import Stack
from tests.support.story import SEED_GIG, SEED_PACKAGE, a_name, ok

pytestmark = pytest.mark.alone

WIDE = "\U0001f600"


def a_large_gig(stack: Stack) -> str:
    """Return the path of a gig whose page has some 200 KB."""
    package = {**SEED_PACKAGE, "description": WIDE * 2000, "features": [WIDE * 100] * 30}
    gig = {**SEED_GIG, "description": WIDE * 5000, "packages": [package] * 10}
    with stack.client(a_name("large"), "seller") as seller:
        path = f"/api/gigs/{ok(seller.post('/api/gigs', json=gig), 201)['id']}"
        assert len(seller.get(path).content) > 150_000
    return path


def test_streams_with_a_window_of_zero_do_not_stop_others(stack: Stack) -> None:
    path = a_large_gig(stack)
    reset_peaks(stack)
    before = peak_mib(stack)["envoy"]

    with bystanders(stack) as others:
        attackers = [UnreadStreams(stack, path, 100) for _ in range(4)]
        answers = [each.answers(1.5) for each in attackers]
        time.sleep(2)
        for each in attackers:
            each.close()

    others.require_served()
    # 503: a worker ends the calls that have waited longest for their client.
    assert {status for each in answers for status in each} <= {200, 429, 503}
    # At most 1 MiB for each of the 400.
    assert peak_mib(stack)["envoy"] - before < 400


def test_an_address_has_no_more_requests_under_way_than_its_bound(stack: Stack) -> None:
    """Unread answers count as well: they are under way until their last byte is read."""
    path = a_large_gig(stack)
    # Each of Envoy's two threads counts for itself, so that 12 x 100 streams are above the two bounds of 500 together.
    attackers = [UnreadStreams(stack, path, 100) for _ in range(12)]

    answers = [status for each in attackers for status in each.answers(0.5)]

    for each in attackers:
        each.close()
    assert answers.count(429) >= 1200 - 2 * 500 - 100
    assert answers.count(200) > 0
