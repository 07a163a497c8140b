"""The follower is told of events while it sleeps, and only then: commits that notify wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from uuid import UUID

import psycopg2
import pytest

from order_service.events import follower
from order_service.events.follower import Follower
from order_service.events.hub import Hub
from order_service.store.feed_reader import CHANNEL, FeedReader
from servicekit.database import Database
from tests.support.eventually import eventually
from tests.support.postgres import url_of

# Opens a connection of another process.
Connect = Callable[[], psycopg2.extensions.connection]

FOREVER = 3600.0
RESPONSE_SECONDS = 20.0
WRITE = """
    INSERT INTO events (id, at, type, payout_id, seller_id, subject)
    VALUES (gen_random_uuid(), now(), 'payout.paid', gen_random_uuid(), %s, '{}')
"""
SLEEPERS = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.fixture
def connect(order_database: Database) -> Iterator[Connect]:
    opened: list[psycopg2.extensions.connection] = []

    def connect() -> psycopg2.extensions.connection:
        opened.append(psycopg2.connect(url_of(order_database)))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture(autouse=True)
def no_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave only notifications, and the looks for older transactions."""
    monkeypatch.setattr(follower, "POLL_SECONDS", FOREVER)


def followed(database: Database, work: Callable[[Hub], Awaitable[None]]) -> None:
    """Run the work beside a follower."""

    async def run() -> None:
        hub = Hub()
        running = Follower(database, FeedReader(database), hub)
        running.start()
        try:
            await work(hub)
        finally:
            await asyncio.to_thread(running.stop)

    asyncio.run(run())


async def comes(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(eventually, condition, RESPONSE_SECONDS)


async def reaches(hub: Hub, position: int) -> None:
    await comes(lambda: hub.position == position)


def sleeps(connection: psycopg2.extensions.connection) -> bool:
    with connection, connection.cursor() as cursor:
        cursor.execute(SLEEPERS)
        [(count,)] = cursor.fetchall()
    return bool(count)


def commit_event(connection: psycopg2.extensions.connection) -> None:
    with connection, connection.cursor() as cursor:
        cursor.execute(WRITE, (str(UUID(int=1)),))


def test_an_event_wakes_a_follower_that_sleeps(order_database: Database, connect: Connect) -> None:
    writer = connect()

    async def work(hub: Hub) -> None:
        for number in (1, 2, 3):
            await comes(lambda: sleeps(writer))
            commit_event(writer)
            await reaches(hub, number)

    followed(order_database, work)


def test_an_event_that_was_written_when_nobody_slept_comes_with_its_late_commit(
    order_database: Database, connect: Connect
) -> None:
    writer, other = connect(), connect()
    with writer.cursor() as cursor:
        cursor.execute(WRITE, (str(UUID(int=1)),))

    async def work(hub: Hub) -> None:
        await comes(lambda: sleeps(other))
        # Long enough for the first looks of the sleep.
        await asyncio.sleep(10 * follower.PAUSE_SECONDS)
        writer.commit()
        await reaches(hub, 1)

    followed(order_database, work)


def test_events_notify_nobody_while_the_follower_is_awake(
    order_database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "PAUSE_SECONDS", FOREVER)
    writer, listener = connect(), connect()
    listener.autocommit = True
    with listener.cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}")

    def notified() -> int:
        listener.poll()
        return len(listener.notifies)

    async def work(hub: Hub) -> None:
        await comes(lambda: sleeps(writer))
        commit_event(writer)
        await comes(lambda: hub.position == 1 and not sleeps(writer))
        assert notified() == 1
        commit_event(writer)
        # A notification of one commit comes before that of a later one.
        with writer, writer.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}, 'the end'")
        await comes(lambda: bool(notified()) and listener.notifies[-1].payload == "the end")
        assert notified() == 2

    followed(order_database, work)


def test_a_follower_that_lost_its_connection_is_told_of_events_again(
    order_database: Database, connect: Connect
) -> None:
    writer = connect()

    async def work(hub: Hub) -> None:
        await comes(lambda: sleeps(writer))
        with writer, writer.cursor() as cursor:
            cursor.execute(f"SELECT pg_terminate_backend(pid) FROM ({SLEEPERS.replace('count(*)', 'pid')}) AS asleep")
        await comes(lambda: not sleeps(writer))
        await comes(lambda: sleeps(writer))
        commit_event(writer)
        await reaches(hub, 1)

    followed(order_database, work)
