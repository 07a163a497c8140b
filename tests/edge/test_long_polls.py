"""Routes of RPCs that wait for something to happen: they have their wait above the times of other routes."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from edge import contract
from tests.support.edge import Edge, an_edge, assert_refused
from tests.support.upstream import slow

EVENTS = "/api/events"
WAIT_SECONDS = 30


@pytest.fixture(scope="module")
def hasty() -> Iterator[Edge]:
    """Start an edge whose times for ordinary requests are over after a second."""
    with an_edge(
        edge_request_timeout_seconds=1, edge_try_timeout_seconds=1, edge_stream_seconds=1, edge_idle_timeout_seconds=1
    ) as edge:
        yield edge


def test_the_feed_is_the_only_route_that_waits_and_waits_half_a_minute() -> None:
    waiting = {route.path: route.wait_seconds for route in contract.load().routes if route.wait_seconds}

    assert waiting == {EVENTS: WAIT_SECONDS}


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("body", [b"", b"{}"], ids=["", "body"])
def test_a_wait_may_take_longer_than_any_ordinary_request(hasty: Edge, http2: bool, body: bytes) -> None:
    hasty.reset()
    hasty.upstreams["event"][0].responses["ListEvents"] = slow(4.5)

    with hasty.client(http2=http2) as api:
        response = api.request("GET", f"{EVENTS}?wait=30", headers=hasty.bearer("admin"), content=body)

    assert response.status_code == 200
    # Asked once: its time is not over after that of an ordinary try.
    [call] = hasty.upstreams["event"][0].received
    assert WAIT_SECONDS < call.seconds_left <= WAIT_SECONDS + 1
    assert call.request.wait == 30


@pytest.mark.timeout(90)
def test_a_wait_that_nobody_ends_is_a_504_after_its_time(hasty: Edge) -> None:
    hasty.upstreams["event"][0].responses["ListEvents"] = slow(40)

    response = httpx.get(f"{hasty.url}{EVENTS}", headers=hasty.bearer("admin"), timeout=60)

    assert_refused(response, 504, "DEADLINE_EXCEEDED")
    assert WAIT_SECONDS < response.elapsed.total_seconds() < WAIT_SECONDS + 8
