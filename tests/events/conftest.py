"""An OrderService worker and the process of watches on one database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.events import EventProcess, EventServer, Watcher
from tests.support.orderservice import OrderBackend


@pytest.fixture
def events(world: OrderBackend) -> Iterator[EventServer]:
    """Serve watches and the feed of the worker's database, in this process."""
    with EventServer(world.database) as server:
        yield server


class Watch:
    """Opens streams on a server, and closes them at the test's end."""

    def __init__(self, server: EventServer) -> None:
        self._server = server
        self._opened: list[Watcher] = []

    def __call__(
        self,
        rpc: str,
        request: Any,
        sent_token: str,
        server: EventServer | EventProcess | None = None,
        **metadata: str,
    ) -> Watcher:
        """Open a stream; names in `metadata` get dashes: `last_event_id="3"`."""
        self._opened.append(Watcher(server or self._server, rpc, request, sent_token, **metadata))
        return self._opened[-1]

    def close(self) -> None:
        for watcher in self._opened:
            watcher.close()


@pytest.fixture
def watch(events: EventServer) -> Iterator[Watch]:
    """Return a function that opens streams on `events`, or on another server."""
    watch = Watch(events)
    yield watch
    watch.close()
