"""A commit wakes relays, whichever process makes it. Polls are minutes apart, so that nothing else can wake them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psycopg2
import pytest
from structlog.testing import capture_logs

from servicekit.database import Database, Row, Statement
from servicekit.errors import Unavailable
from servicekit.notify_listener import NotifyListener
from servicekit.outbox import Outbox, Relay, Topic
from servicekit.outbox.rows import NEXT
from servicekit.outbox.schema import CHANNEL
from tests.support.eventually import eventually
from tests.support.outbox import Receiver, end_all_connections, relays, rows, write
from tests.support.postgres import PostgresServer, url_of

# A row as another process writes it: a worker of an older version, or a person with psql.
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


class CountingDatabase(Database):
    """A database that counts how often relays look for a row."""

    looks = 0

    def fetch_all(self, statement: Statement, *params: object) -> list[Row]:
        if statement is NEXT:
            self.looks += 1
        return super().fetch_all(statement, *params)


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
def _rare_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the polls minutes apart, far beyond every test's patience."""
    monkeypatch.setattr("servicekit.outbox.relay.POLL_SECONDS", 600.0)


def let_it_sleep() -> None:
    """Give a relay time to find nothing to do."""
    time.sleep(0.3)


@pytest.mark.usefixtures("_rare_polls")
def test_a_commit_in_this_process_wakes_every_relay_at_once(database: Database, receiver: Receiver) -> None:
    with relays(database, Topic(receiver), count=2):
        let_it_sleep()

        write(database, ("a", 1))

        eventually(lambda: receiver.got)


@pytest.mark.usefixtures("_rare_polls")
def test_a_row_that_another_process_writes_wakes_a_relay(url: str, database: Database, receiver: Receiver) -> None:
    with relays(database, Topic(receiver)):
        let_it_sleep()

        subprocess.run([sys.executable, "-c", WRITER, url, "a"], check=True, timeout=20)

        eventually(lambda: receiver.got)


@pytest.mark.usefixtures("_rare_polls")
def test_a_hundred_commits_one_after_the_other_are_all_heard(database: Database, receiver: Receiver) -> None:
    with relays(database, Topic(receiver), count=2):
        let_it_sleep()
        for number in range(100):
            write(database, (f"k{number}", 1))
            eventually(lambda number=number: len(receiver.got) > number)  # type: ignore[misc]

    assert len(receiver.got) == 100


@pytest.mark.usefixtures("_rare_polls")
def test_what_is_committed_while_a_relay_delivers_is_delivered_next(database: Database, receiver: Receiver) -> None:
    receiver.takes_seconds = 0.3
    with relays(database, Topic(receiver)):
        let_it_sleep()
        write(database, ("a", 1))
        time.sleep(0.15)
        write(database, ("b", 1))

        eventually(lambda: receiver.got == [("a", 1), ("b", 1)])


def test_a_wait_on_a_connection_that_does_not_listen_returns_at_once(database: Database) -> None:
    listener = NotifyListener(database, CHANNEL)
    listener.listen()
    # As a transaction does that finds its connection lost at its start.
    database.close()
    database.execute("SELECT 1")
    began = time.monotonic()

    listener.wait(60)

    assert time.monotonic() - began < 50
    listener.close()


def test_a_wait_returns_at_once_after_a_notification_that_came_with_a_statements_result(
    url: str, database: Database
) -> None:
    listener = NotifyListener(database, CHANNEL)
    listener.listen()
    subprocess.run([sys.executable, "-c", WRITER, url, "a"], check=True, timeout=20)
    database.execute("SELECT 1")
    began = time.monotonic()

    listener.wait(60)

    assert time.monotonic() - began < 50
    listener.close()


def test_a_row_that_was_rolled_back_wakes_nobody(database: Database) -> None:
    listener = NotifyListener(database, CHANNEL)
    listener.listen()
    other = psycopg2.connect(url_of(database))
    with other.cursor() as cursor:
        cursor.execute(INSERT, ("a",))
    other.rollback()
    other.close()
    began = time.monotonic()

    listener.wait(0.3)

    assert time.monotonic() - began >= 0.29
    listener.close()


@pytest.mark.usefixtures("_rare_polls")
def test_a_relay_whose_listening_connection_was_cut_hears_what_comes_afterwards(
    database: Database, receiver: Receiver, postgres: PostgresServer
) -> None:
    with capture_logs() as logs, relays(database, Topic(receiver)):
        for number in range(5):
            let_it_sleep()
            end_all_connections(postgres, database)
            let_it_sleep()

            write(database, (f"k{number}", 1))

            eventually(lambda number=number: len(receiver.got) > number)  # type: ignore[misc]
    assert logs == []


@pytest.mark.usefixtures("_rare_polls")
def test_a_row_that_is_committed_while_nobody_listens_is_found_when_the_connection_is_back(
    database: Database, receiver: Receiver, postgres: PostgresServer
) -> None:
    with relays(database, Topic(receiver)):
        let_it_sleep()
        # Cuts off the relay, and commits before it can have noticed.
        end_all_connections(postgres, database)
        write(database, ("a", 1))

        eventually(lambda: receiver.got)


@pytest.mark.usefixtures("_rare_polls")
def test_a_row_that_waits_is_sent_when_its_time_has_come_and_not_a_poll_later(
    database: Database, receiver: Receiver
) -> None:
    receiver.fails = lambda message: None if message.attempts == 2 else ValueError("not yet")
    with relays(database, Topic(receiver), count=2):
        write(database, ("a", 1))

        eventually(lambda: receiver.got)


def test_a_row_without_a_notification_is_found_by_the_poll(database: Database, receiver: Receiver) -> None:
    database.execute("ALTER TABLE outbox DISABLE TRIGGER outbox_added")
    with relays(database, Topic(receiver)):
        let_it_sleep()

        write(database, ("a", 1))

        eventually(lambda: receiver.got)


def test_a_relay_that_sleeps_asks_the_database_about_once_a_second(
    url: str, database: Database, receiver: Receiver
) -> None:
    counting = CountingDatabase(url)
    with relays(counting, Topic(receiver)):
        write(database, ("a", 1))
        eventually(lambda: receiver.got)
        counting.looks = 0
        time.sleep(2.5)

    # Each of the two or three polls looks once; a relay that did not sleep would look thousands of times.
    assert 1 <= counting.looks <= 4


def test_a_receiver_that_is_away_does_not_hold_up_other_topics(database: Database, receiver: Receiver) -> None:
    attempts: list[object] = []

    def away(message: object) -> None:
        attempts.append(message)
        raise Unavailable

    relay = Relay(database, {"lost": Topic(away), "news": Topic(receiver)})
    outbox = Outbox(database)
    with database.transaction():
        for number in range(50):
            outbox.add("lost", f"k{number}", 1, {})
        outbox.add("news", "a", 1, {})
    relay.start()
    try:
        eventually(lambda: receiver.got)
        assert len(attempts) < 50
    finally:
        relay.stop()
    assert len(rows(database)) == 50


@pytest.mark.usefixtures("_rare_polls")
def test_a_relay_stops_at_once_while_it_sleeps(database: Database, receiver: Receiver) -> None:
    others = set(threading.enumerate())
    with relays(database, Topic(receiver)) as (relay,):
        let_it_sleep()

        relay.stop()

        eventually(lambda: set(threading.enumerate()) <= others)
        relay.stop()
