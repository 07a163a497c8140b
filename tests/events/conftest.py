"""An OrderService worker and the process of watches on one database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from tests.support.events import EventServer, Watcher
from tests.support.orderservice import OrderBackend


@pytest.fixture
def events(world: OrderBackend) -> Iterator[EventServer]:
    """Serve watches and the feed of the worker's database, in this process."""
    with EventServer(world.database) as server:
        yield server


class Watch(Protocol):
    """Opens a stream, which the test's end closes."""

    def __call__(self, rpc: str, message: Any, sent_token: str, server: Any = None, /, **metadata: str) -> Watcher: ...


@pytest.fixture
def watch(request: pytest.FixtureRequest) -> Iterator[Watch]:
    """Return a function that opens streams: on `events`, or on another server."""
    opened: list[Watcher] = []

    def open_stream(rpc: str, message: Any, sent_token: str, server: Any = None, **metadata: str) -> Watcher:
        server = server or request.getfixturevalue("events")
        opened.append(Watcher(server, rpc, message, sent_token, **metadata))
        return opened[-1]

    yield open_stream
    for watcher in opened:
        watcher.close()
