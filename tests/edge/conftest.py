"""One Envoy for all tests of the edge that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.edge import Edge


@pytest.fixture(scope="session")
def running_edge() -> Iterator[Edge]:
    """Start an edge for all tests of this process."""
    edge = Edge()
    try:
        yield edge.start()
    finally:
        edge.stop()


@pytest.fixture
def edge(running_edge: Edge) -> Edge:
    """Return the edge, with upstreams that have forgotten the test before."""
    running_edge.reset()
    return running_edge


@pytest.fixture
def api(edge: Edge) -> Iterator[httpx.Client]:
    """Return a client of HTTP/1.1 without a token."""
    with edge.client() as client:
        yield client
