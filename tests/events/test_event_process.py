"""The process of watches: lost connections, kills, slow readers, limits, shutdown. Clients resume and miss nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import psycopg2
import pytest
from prometheus_client import REGISTRY

from deploy.local.postgres import SUPERUSER, database_url
from marketplace.event.v1 import event_pb2, event_pb2_grpc
from order_service.events import hub
from tests.events.conftest import Watch
from tests.support.events import EventProcess, EventServer, Watcher, event_process, last_id, parse
from tests.support.eventually import eventually
from tests.support.identity import token
from tests.support.orderservice import ADMIN, BUYER, SELLER, OrderBackend
from tests.support.outbox import end_all_connections
from tests.support.postgres import PostgresServer

SSE = event_pb2.WatchSseRequest()
OrderSse = event_pb2.WatchOrderSseRequest


@pytest.fixture
def process(world: OrderBackend) -> Iterator[EventProcess]:
    with event_process(world.database) as running:
        yield running


def ids(watcher: Watcher) -> list[int]:
    return [int(event["id"]) for event in watcher.sent_events()]


def test_what_is_committed_while_the_listening_connection_is_cut_arrives(
    world: OrderBackend, watch: Watch, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the poll: only the new connection's first look can find it.
    monkeypatch.setattr("order_service.events.follower.POLL_SECONDS", 600.0)
    watcher = watch("WatchSse", SSE, BUYER)
    watcher.wait_for(1)
    for number in range(3):
        end_all_connections(postgres, world.database)
        world.placed()

        eventually(lambda number=number: len(ids(watcher)) > number)  # type: ignore[misc]
    assert ids(watcher) == [1, 2, 3]


def test_what_is_committed_without_a_notification_arrives_with_the_poll(world: OrderBackend, watch: Watch) -> None:
    world.database.execute("ALTER TABLE events DISABLE TRIGGER events_added")
    watcher = watch("WatchSse", SSE, BUYER)
    watcher.wait_for(1)

    world.placed()

    eventually(lambda: ids(watcher) == [1])


def test_watches_stay_open_while_the_database_is_away(
    world: OrderBackend, watch: Watch, postgres: PostgresServer
) -> None:
    watcher = watch("WatchSse", SSE, BUYER)
    watcher.wait_for(1)
    name = world.database.peewee.connection().info.dbname
    administrator = psycopg2.connect(database_url(postgres.layout, "postgres", SUPERUSER))
    administrator.autocommit = True
    with administrator.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        end_all_connections(postgres, world.database)
        # A new one is refused meanwhile.
        assert watch("WatchSse", SSE, BUYER).end().error == "UNAVAILABLE"
        cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    administrator.close()

    eventually(lambda: placed(world))
    eventually(lambda: len(ids(watcher)) == 1)


def placed(world: OrderBackend) -> bool:
    return world.place().code is grpc.StatusCode.OK


class Client:
    """A client that comes back with its last id whenever its stream ends, until an end that is none of its own."""

    def __init__(self, process: EventProcess, rpc: str, request: Any, first_id: str = "") -> None:
        self.text = f"id: {first_id}\n\n" if first_id else ""
        self.tries = 0
        self.is_done = threading.Event()
        self._process, self._rpc, self._request = process, rpc, request
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self.is_done.is_set():
            self.tries += 1
            # An empty header is as if it were not there.
            watcher = Watcher(self._process, self._rpc, self._request, BUYER, last_event_id=last_id(self.text))
            while not watcher.is_over.wait(0.05) and not self.is_done.is_set():
                pass
            watcher.close()
            watcher.end()
            self.text += watcher.text()
            time.sleep(0.02)

    def ids(self) -> list[int]:
        """Stop, and return the ids of all events that it has got."""
        self.is_done.set()
        self._thread.join(30)
        return [int(event["id"]) for event in parse(self.text)]


def test_clients_that_lose_the_process_again_and_again_get_every_event_once_and_in_order(
    world: OrderBackend, process: EventProcess
) -> None:
    world.offer_package(revisions=8)
    order_id = world.accepted()
    of_order = Client(process, "WatchOrderSse", OrderSse(order_id=order_id))
    of_user = Client(process, "WatchSse", SSE, "0")
    for number in range(4):
        world.act("deliver", order_id, SELLER, f"Try {number}")
        process.kill()
        world.act("revise", order_id, BUYER, f"Not yet {number}")
        process.start()
        world.placed()
    history = len(world.history(order_id))
    time.sleep(1)

    assert of_order.ids() == list(range(1, history + 1))
    assert of_user.ids() == list(range(1, history + 5))
    assert of_order.tries > 4


def test_a_reader_that_is_too_slow_is_refused_and_can_resume(
    world: OrderBackend, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MAX_WAITING", 20)
    order_id = world.placed()
    slow_before = REGISTRY.get_sample_value("marketplace_slow_watches_total") or 0
    with EventServer(world.database, send_seconds=1) as events, events.channel() as channel:
        metadata = (("authorization", f"Bearer {BUYER}"),)
        # Nobody reads the responses of this call but the first, which says after which event it begins.
        unread = event_pb2_grpc.EventServiceStub(channel).WatchSse(SSE, timeout=60, metadata=metadata)
        read = [next(iter(unread))]
        write(world, order_id, 400)
        # Its place is free again, though nobody has read anything else.
        eventually(lambda: open_streams() == 0)
        with pytest.raises(grpc.RpcError) as refused:
            read.extend(unread)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

        assert REGISTRY.get_sample_value("marketplace_slow_watches_total") == slow_before + 1
        last = last_id(text_of(read))
        assert int(last) < 401
        resumed = watch("WatchSse", SSE, BUYER, events, last_event_id=last)
        eventually(lambda: 401 in ids(resumed))
        assert ids(resumed) == list(range(int(last) + 1, 402))


def text_of(responses: list[Any]) -> str:
    return b"".join(response.data for response in responses).decode()


def open_streams() -> float | None:
    """Return how many streams the process has."""
    return REGISTRY.get_sample_value("marketplace_event_subscriptions")


def write(world: OrderBackend, order_id: str, count: int) -> None:
    """Commit so many further events of an order, whose rows in the history are large."""
    world.database.execute(
        """
        WITH rows AS (
            INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message)
            SELECT order_id, number + 1, at, 'seller', 'deliver', 'IN_PROGRESS', 'DELIVERED', repeat('x', 5000)
            FROM order_events, generate_series(1, %(count)s) AS number WHERE order_id = %(id)s AND version = 1
            RETURNING version
        )
        INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject)
        SELECT gen_random_uuid(), at, 'order.delivered', order_id, rows.version, buyer_id, seller_id, subject
        FROM events, rows WHERE order_id = %(id)s ORDER BY rows.version
        """,
        {"id": order_id, "count": count},
    )


def test_the_twenty_first_watch_of_a_user_is_refused_over_both_kinds_and_other_users_are_not(
    world: OrderBackend, watch: Watch
) -> None:
    order_id = world.placed()
    calls = [("WatchSse", SSE), ("Watch", event_pb2.WatchRequest()), ("WatchOrderSse", OrderSse(order_id=order_id))]
    open_ones = [watch(*calls[number % 3], BUYER) for number in range(20)]
    for each in open_ones:
        each.wait_for(1)

    for rpc, request in [*calls, ("WatchOrder", event_pb2.WatchOrderRequest(order_id=order_id))]:
        refused = watch(rpc, request, BUYER).end()
        assert (refused.http_status, refused.error) == (429, "RATE_LIMITED")
        assert refused.headers["retry-after"]
    watch("WatchSse", SSE, SELLER).wait_for(1)

    open_ones[0].close()
    eventually(lambda: watch("WatchSse", SSE, BUYER).has_begun())


def test_the_process_has_a_last_place(world: OrderBackend, watch: Watch) -> None:
    with EventServer(world.database, watches=2) as small:
        for name in ("a", "b"):
            watch("WatchSse", SSE, token(name), small).wait_for(1)

        assert watch("WatchSse", SSE, token("c"), small).end().error == "UNAVAILABLE"


def test_a_watch_ends_after_its_time_and_says_from_where_to_resume(
    world: OrderBackend, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("order_service.events.process.timedelta", lambda minutes: timedelta(seconds=minutes))
    with EventServer(world.database, watch_minutes=2) as hasty:
        began = time.monotonic()
        watcher = watch("WatchSse", SSE, token("somebody else"), hasty)
        watcher.wait_for(1)
        world.placed()
        world.placed()

        assert watcher.end().code is grpc.StatusCode.OK

    assert 1.5 < time.monotonic() - began < 10
    # The two orders were none of theirs, and need not be looked at again.
    assert watcher.sent_events() == []
    assert last_id(watcher.text()) == "2"


def test_an_idle_watch_over_http_sends_comments_and_a_typed_one_nothing(
    world: OrderBackend, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("order_service.events.servicer.HEARTBEAT_SECONDS", 0.1)
    order_id = world.placed()
    over_http, typed = watch("WatchSse", SSE, BUYER), watch("Watch", event_pb2.WatchRequest(), BUYER)

    over_http.wait_for(5)
    assert text_of(over_http.responses[1:5]) == ":\n\n" * 4
    assert len(typed.responses) == 1
    world.act("accept", order_id, SELLER)
    eventually(lambda: ids(over_http) == [2])


def test_a_stopping_process_is_unhealthy_first_and_ends_its_streams_and_long_polls_once_its_clients_know(
    world: OrderBackend, process: EventProcess
) -> None:
    order_id = world.placed()
    watchers = [
        Watcher(process, "WatchSse", SSE, BUYER),
        Watcher(process, "Watch", event_pb2.WatchRequest(), BUYER),
        Watcher(process, "WatchOrderSse", OrderSse(order_id=order_id), BUYER),
    ]
    for watcher in watchers:
        watcher.wait_for(1)
    with process.channel() as channel:
        request = event_pb2.ListEventsRequest(after="now", wait=30)
        metadata = (("authorization", f"Bearer {ADMIN}"),)
        poll = event_pb2_grpc.EventServiceStub(channel).ListEvents.future(request, timeout=60, metadata=metadata)
        eventually(lambda: "ListEvents" in str(process.log()) or not poll.done())
        time.sleep(0.5)

        process.terminate()

        eventually(lambda: not process.is_healthy())
        assert not any(watcher.is_over.is_set() for watcher in watchers)
        assert [watcher.end(20).code for watcher in watchers] == [grpc.StatusCode.OK] * 3
        # Not after its 30 s, and not cut when the grace is over.
        assert poll.result(10).next == "1"
    assert process.process is not None
    assert process.process.wait(10) == 0
    assert {line["code"] for line in process.log() if line["event"] == "call"} == {"OK"}


def test_a_stream_is_logged_at_its_end(world: OrderBackend, process: EventProcess) -> None:
    order_id = world.delivered()
    world.act("complete", order_id, BUYER)
    Watcher(process, "WatchOrderSse", OrderSse(order_id=order_id), BUYER).end()
    cut = Watcher(process, "WatchSse", SSE, BUYER)
    cut.wait_for(1)
    cut.close()

    eventually(lambda: len([line for line in process.log() if line["event"] == "call"]) == 2)
    lines = [line for line in process.log() if line["event"] == "call"]
    assert [(line["method"], line["code"]) for line in lines] == [("WatchOrderSse", "OK"), ("WatchSse", "CANCELLED")]
