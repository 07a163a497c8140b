"""A body that never ends costs little where it is not read, and no more than its bound where it is."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.attackers import connections, send, statuses, wait_for_response
from tests.support.bystanders import bystanders
from tests.support.memory import peak_mib, reset_peaks
from tests.support.stack import Stack

pytestmark = pytest.mark.alone

CLIENTS = 960
HEAP_MIB = 448
BODY = b"x" * (1024 * 1024 - 1)
SOURCES = tuple(f"127.0.1.{number}" for number in range(1, 25))


def request(method: str, path: str, *headers: str) -> bytes:
    """Return the head of a request whose body is one byte longer than `BODY`."""
    lines = [f"{method} {path} HTTP/1.1", "Host: edge", f"Content-Length: {len(BODY) + 1}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def test_a_get_is_answered_without_its_body(stack: Stack) -> None:
    head = request("GET", "/api/categories")
    reset_peaks(stack)
    before = peak_mib(stack)["envoy"]

    with bystanders(stack) as others, connections(stack, CLIENTS) as attackers:
        for each in attackers:
            send(each, head)
        answers = statuses(attackers, 5)
        for each in attackers:
            send(each, BODY[:65_536])
        time.sleep(0.5)

    others.require_served()
    # A worker that is full refuses with 503; no client waits for its body.
    assert set(answers) <= {200, 429, 503}
    assert answers.count(200) > 100
    assert peak_mib(stack)["envoy"] - before < 300


@pytest.fixture(scope="module")
def small_stack() -> Iterator[Stack]:
    """Start a stack whose edge may have little memory, and an address few requests."""
    small = Stack(EDGE_MAX_HEAP_MIB=str(HEAP_MIB), EDGE_REQUESTS_PER_ADDRESS="100")
    try:
        yield small.start()
    finally:
        small.stop()


@pytest.mark.timeout(180)
def test_bodies_that_wait_for_their_last_byte_leave_memory_for_others(small_stack: Stack) -> None:
    """More than all the memory that Envoy may have, from so many addresses that no bound of an address helps."""
    stack = small_stack
    token = stack.token("dribbler", "seller")
    head = request("POST", "/api/gigs", f"Authorization: Bearer {token}", "Content-Type: application/json")

    with bystanders(stack) as others, connections(stack, 600, *SOURCES) as attackers:
        for each in attackers:
            send(each, head + BODY)
        wait_for_response(attackers, 60)
        answers = statuses(attackers, 2)

    others.require_served()
    assert set(answers) <= {0, 503}
    assert answers.count(503) > 0
    assert peak_mib(stack)["envoy"] < HEAP_MIB + 200


def test_one_address_cannot_have_more_bodies_under_way_than_its_bound(small_stack: Stack) -> None:
    stack = small_stack
    token = stack.token("dribbler", "seller")
    head = request("POST", "/api/gigs", f"Authorization: Bearer {token}", "Content-Type: application/json")

    with connections(stack, 600) as attackers:
        for each in attackers:
            send(each, head + b"{")
        answers = statuses(attackers, 2)

    assert answers.count(429) >= 600 - 2 * 100
    assert answers.count(0) >= 100
