"""A commit wakes relays wherever it was made; with polls a minute apart, so that nothing else could."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg2
import pytest
from structlog.testing import capture_logs

from servicekit.database import Database
from servicekit.errors import Unavailable
from servicekit.outbox import Outbox, Relay, Topic
from servicekit.outbox.listener import NotifyListener
from tests.support.outbox import Receiver, end_all_connections, eventually, relays, rows, write
from tests.support.postgres import PostgresServer

# As another process writes them: a worker of an older version, or a person with psql.
INSERT = """
    INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at)
    VALUES ('news', %s, 1, '{}', app_now(), app_now())
"""
WRITER = f"""
import sys, psycopg2
connection = psycopg2.connect(sys.argv[1])
with connection, connection.cursor() as cursor:
    cursor.execute('''{INSERT}''', (sys.argv[2],))
connection.close()
"""


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.fresh("review")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls are a minute apart."""
    monkeypatch.setattr("servicekit.outbox.relay.POLL_SECONDS", 60.0)


def let_it_sleep() -> None:
    """Gives a relay time to find nothing to do."""
    time.sleep(0.3)


@pytest.mark.usefixtures("rarely")
def test_a_commit_in_this_process_wakes_every_relay_at_once(database: Database, receiver: Receiver) -> None:
    with relays(database, Topic(receiver), count=2):
        let_it_sleep()
        began = time.monotonic()

        write(database, ("a", 1))
        eventually(lambda: receiver.got, seconds=1)

    assert time.monotonic() - began < 1


@pytest.mark.usefixtures("rarely")
def test_a_row_that_another_process_writes_wakes_a_relay(url: str, database: Database, receiver: Receiver) -> None:
    with relays(database, Topic(receiver)):
        let_it_sleep()

        subprocess.run([sys.executable, "-c", WRITER, url, "a"], check=True, timeout=20)

        eventually(lambda: receiver.got, seconds=1)


@pytest.mark.usefixtures("rarely")
def test_a_hundred_commits_one_after_the_other_are_all_heard(database: Database, receiver: Receiver) -> None:
    slowest = 0.0
    with relays(database, Topic(receiver), count=2):
        let_it_sleep()
        for number in range(100):
            began = time.monotonic()
            write(database, (f"k{number}", 1))
            eventually(lambda number=number: len(receiver.got) > number, seconds=2)  # type: ignore[misc]
            slowest = max(slowest, time.monotonic() - began)

    assert len(receiver.got) == 100
    assert slowest < 1


@pytest.mark.usefixtures("rarely")
def test_what_is_committed_while_a_relay_delivers_is_delivered_next(database: Database, receiver: Receiver) -> None:
    receiver.takes_seconds = 0.3
    with relays(database, Topic(receiver)):
        let_it_sleep()
        write(database, ("a", 1))
        time.sleep(0.15)
        write(database, ("b", 1))

        eventually(lambda: receiver.got == [("a", 1), ("b", 1)], seconds=2)


def test_nobody_sleeps_on_a_connection_that_does_not_listen(database: Database) -> None:
    bell = NotifyListener(database)
    bell.listen()
    # As a transaction does whose connection was found dead at its start.
    database.close()
    database.execute("SELECT 1")
    began = time.monotonic()

    bell.wait(5)

    assert time.monotonic() - began < 1
    bell.close()


def test_nobody_sleeps_over_what_came_with_the_answer_of_a_statement(url: str, database: Database) -> None:
    bell = NotifyListener(database)
    bell.listen()
    subprocess.run([sys.executable, "-c", WRITER, url, "a"], check=True, timeout=20)
    database.execute("SELECT 1")
    began = time.monotonic()

    bell.wait(5)

    assert time.monotonic() - began < 1
    bell.close()


def test_what_was_rolled_back_wakes_nobody(database: Database) -> None:
    bell = NotifyListener(database)
    bell.listen()
    other = psycopg2.connect(database.peewee.connection().dsn)
    with other.cursor() as cursor:
        cursor.execute(INSERT, ("a",))
    other.rollback()
    other.close()
    began = time.monotonic()

    bell.wait(0.3)

    assert time.monotonic() - began >= 0.29
    bell.close()


@pytest.mark.usefixtures("rarely")
def test_a_relay_whose_listening_connection_was_cut_hears_what_comes_afterwards(
    database: Database, receiver: Receiver, postgres: PostgresServer
) -> None:
    with capture_logs() as logs, relays(database, Topic(receiver)):
        for number in range(5):
            let_it_sleep()
            end_all_connections(postgres, database)
            let_it_sleep()

            write(database, (f"k{number}", 1))

            eventually(lambda number=number: len(receiver.got) > number, seconds=1)  # type: ignore[misc]
    assert logs == []


@pytest.mark.usefixtures("rarely")
def test_a_row_that_is_committed_while_nobody_listens_is_found_when_the_connection_is_back(
    database: Database, receiver: Receiver, postgres: PostgresServer
) -> None:
    with relays(database, Topic(receiver)):
        let_it_sleep()
        # Cuts off the relay, and commits before it can have noticed.
        end_all_connections(postgres, database)
        write(database, ("a", 1))

        eventually(lambda: receiver.got, seconds=2)


@pytest.mark.usefixtures("rarely")
def test_a_row_that_rests_is_tried_when_its_time_has_come_and_not_a_poll_later(
    database: Database, receiver: Receiver
) -> None:
    receiver.fails = lambda message: None if message.attempts == 2 else ValueError("not yet")
    with relays(database, Topic(receiver), count=2):
        write(database, ("a", 1))

        eventually(lambda: receiver.got, seconds=3)


def test_a_row_that_nobody_told_of_is_found_by_the_poll(database: Database, receiver: Receiver) -> None:
    database.execute("ALTER TABLE outbox DISABLE TRIGGER outbox_added")
    with relays(database, Topic(receiver)):
        let_it_sleep()

        write(database, ("a", 1))

        eventually(lambda: receiver.got, seconds=3)


def test_a_relay_that_sleeps_asks_the_database_about_once_a_second(database: Database, receiver: Receiver) -> None:
    asked = []
    with relays(database, Topic(receiver)) as (relay,):
        original = relay._attempt
        relay._attempt = lambda: asked.append(1) or original()  # type: ignore[method-assign, func-returns-value]
        write(database, ("a", 1))
        eventually(lambda: receiver.got)
        asked.clear()
        time.sleep(2.5)

    assert 1 <= len(asked) <= 4


def test_a_receiver_that_is_away_does_not_hold_up_other_topics(database: Database, receiver: Receiver) -> None:
    def away(message: object) -> None:
        raise Unavailable

    relay = Relay(database, {"lost": Topic(away), "news": Topic(receiver)})
    outbox = Outbox(database)
    with database.transaction():
        for number in range(50):
            outbox.add("lost", f"k{number}", 1, {})
        outbox.add("news", "a", 1, {})
    relay.start()
    try:
        eventually(lambda: receiver.got, seconds=1)
    finally:
        relay.stop()
    assert len(rows(database)) == 50


@pytest.mark.usefixtures("rarely")
def test_a_relay_stops_at_once_while_it_sleeps(database: Database, receiver: Receiver) -> None:
    with relays(database, Topic(receiver)) as (relay,):
        let_it_sleep()
        began = time.monotonic()

        relay.stop()

        assert time.monotonic() - began < 0.5
        relay.stop()
