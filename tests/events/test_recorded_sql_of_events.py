"""The SQL of watches and the feed, as tests/servicer/test_recorded_sql.py has it of the other RPCs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import pytest

from marketplace.event.v1 import event_pb2
from tests.events.conftest import Watch
from tests.events.test_feed import Feed
from tests.support.events import EventServer
from tests.support.orderservice import ADMIN, BUYER, SELLER, OrderBackend
from tests.support.recorded_sql import Recorder, compare, recording
from tests.support.rpc import Answer

SERVICE = event_pb2.DESCRIPTOR.services_by_name["EventService"]


@pytest.fixture
def sql(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    with recording(monkeypatch) as recorder:
        yield recorder


def test_the_sql_of_watches_and_the_feed(sql: Recorder, world: OrderBackend, events: EventServer, watch: Watch) -> None:
    def open_watch(rpc: str, request: Any, last_event_id: str | None) -> Answer:
        metadata: dict[str, Any] = {"last_event_id": last_event_id} if last_event_id else {}
        opened = watch(rpc, request, BUYER, **metadata)
        opened.wait_for(1)
        return Answer(opened.responses, grpc.StatusCode.OK, "")

    def call(name: str, last_event_id: str | None = None, **fields: str) -> None:
        rpc = name.partition(":")[0]
        request = getattr(event_pb2, f"{rpc}Request")(**fields)
        sql.call(name, partial(open_watch, rpc, request, last_event_id))

    order = world.placed()
    feed = Feed(events)
    first = feed.page()
    for action in ("accept", "deliver"):
        # The second time there is more to read: it takes the same statements.
        world.act(action, order, SELLER)
        feed.page(first.next)
        sql.call("ListEvents", partial(feed.ask, sent=ADMIN))
        call("WatchOrder", order_id=order)
        call("WatchOrder: resumed", order_id=order, after="1")
        call("WatchOrderSse: resumed", order_id=order, last_event_id="1")
        call("Watch")
        call("Watch: resumed", after=first.next)
        call("WatchSse: resumed", last_event_id=first.next)
    feed.channel.close()

    compare("EventService", sql, SERVICE)
