"""Rows of the outbox reach their receiver, with a real PostgreSQL in between."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from functools import partial

import pytest

from servicekit.clock import Clock
from servicekit.database import Database
from servicekit.errors import DeadlineExceeded, Unavailable
from servicekit.outbox import Message, Outbox, Relay, Topic
from servicekit.outbox.relay import MAX_BACKOFF_SECONDS, backoff
from tests.support.eventually import eventually
from tests.support.outbox import Receiver, end_all_connections, relays, rows, sample, write
from tests.support.postgres import PostgresServer


@pytest.fixture
def database(review_database: Database) -> Database:
    return review_database


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def test_a_row_reaches_its_handler_and_is_gone(database: Database) -> None:
    got: list[Message] = []
    write(database, ("a", 7))

    assert Relay(database, {"news": Topic(got.append)}).deliver_one()

    assert got == [Message("news", "a", 7, {"says": "a7"}, attempts=0)]
    assert rows(database) == []


def test_a_row_is_only_written_in_the_transaction_of_what_it_tells_of(outbox: Outbox) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        outbox.add("news", "a", 1, {})


def test_a_row_that_was_rolled_back_is_never_sent(database: Database, outbox: Outbox, receiver: Receiver) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction():
        outbox.add("news", "a", 1, {})
        raise ZeroDivisionError

    assert not Relay(database, {"news": Topic(receiver)}).deliver_one()


def test_a_keys_rows_arrive_in_order_and_one_at_a_time_from_several_workers(
    database: Database, receiver: Receiver
) -> None:
    receiver.takes_seconds = 0.002
    write(database, *((key, version) for version in range(1, 16) for key in "abcd"))

    with relays(database, Topic(receiver), count=4):
        eventually(lambda: not rows(database))

    assert receiver.overlaps == 0
    for key in "abcd":
        assert receiver.versions(key) == list(range(1, 16))


def test_a_row_waits_while_another_worker_delivers_the_one_before_it(database: Database, receiver: Receiver) -> None:
    release = threading.Event()
    write(database, ("a", 1), ("a", 2), ("b", 1))

    with relays(database, Topic(lambda message: _wait(release))):
        other = Relay(database, {"news": Topic(receiver)})
        time.sleep(0.3)
        assert other.deliver_one()
        assert not other.deliver_one()
        release.set()
        eventually(lambda: not rows(database))

    assert receiver.got == [("b", 1)]


def test_where_a_row_tells_all_only_the_newest_of_a_key_is_sent(database: Database, receiver: Receiver) -> None:
    write(database, ("a", 1), ("b", 1), ("a", 2), ("a", 3))
    relay = Relay(database, {"news": Topic(receiver, newest_only=True)})

    while relay.deliver_one():
        pass

    assert sorted(receiver.got) == [("a", 3), ("b", 1)]
    assert rows(database) == []


def test_of_a_key_that_fails_only_the_newest_row_is_kept(database: Database, receiver: Receiver) -> None:
    receiver.fails = lambda message: ValueError("no")
    write(database, ("a", 1), ("a", 2))

    Relay(database, {"news": Topic(receiver, newest_only=True)}).deliver_one()

    assert [(row["version"], row["attempts"]) for row in rows(database)] == [(2, 1)]


def test_a_failed_row_waits_and_is_sent_again(database: Database, receiver: Receiver) -> None:
    receiver.fails = lambda message: None if message.attempts == 3 else ValueError("no")
    write(database, ("a", 1))

    with relays(database, Topic(receiver)):
        eventually(lambda: receiver.got)

    assert receiver.got == [("a", 1)]


def test_a_failing_key_holds_up_its_own_rows_alone(database: Database, receiver: Receiver) -> None:
    receiver.fails = lambda message: ValueError("poison") if (message.key, message.version) == ("a", 1) else None
    write(database, ("a", 1), ("a", 2), ("b", 1), ("c", 1))

    with relays(database, Topic(receiver)):
        eventually(lambda: len(receiver.got) == 2)
        time.sleep(0.3)

    assert sorted(receiver.got) == [("b", 1), ("c", 1)]
    assert [(row["key"], row["version"]) for row in rows(database)] == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("failure", [Unavailable, DeadlineExceeded])
def test_everything_arrives_once_a_receiver_is_back(
    database: Database, receiver: Receiver, failure: type[Exception]
) -> None:
    receiver.fails = lambda message: failure()
    write(database, *((f"k{number}", 1) for number in range(30)))
    with relays(database, Topic(receiver), count=2):
        time.sleep(1.5)
        assert receiver.got == []

        receiver.fails = lambda message: None

        eventually(lambda: len(receiver.got) == 30)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_receiver_that_is_away_is_asked_once_a_round_and_not_once_a_row(database: Database, concurrency: int) -> None:
    received: list[Message] = []

    def away(message: Message) -> None:
        received.append(message)
        raise Unavailable

    write(database, *((f"k{number}", 1) for number in range(100)))

    with relays(database, Topic(away, concurrency=concurrency)):
        eventually(lambda: received)
        time.sleep(1)

    # The first look may start as many as there are threads, before it is known that the receiver is away.
    assert 2 <= len(received) <= 7 + concurrency


def test_a_row_of_a_topic_that_this_worker_does_not_know_is_left_for_those_who_do(
    database: Database, receiver: Receiver
) -> None:
    write(database, ("a", 1), topic="of a newer version")

    assert not Relay(database, {"news": Topic(receiver)}).deliver_one()

    assert len(rows(database)) == 1


def test_a_delivery_that_loses_its_connection_is_stored_on_another_one(
    database: Database, postgres: PostgresServer
) -> None:
    write(database, ("a", 1))

    assert Relay(database, {"news": Topic(lambda message: end_all_connections(postgres, database))}).deliver_one()

    assert rows(database) == []


def test_the_relay_goes_on_after_it_has_lost_its_database(
    database: Database, receiver: Receiver, postgres: PostgresServer
) -> None:
    with relays(database, Topic(receiver)):
        for version in (1, 2, 3):
            write(database, ("a", version))
            eventually(partial(_has_got, receiver, "a", version))
            end_all_connections(postgres, database)

    assert receiver.versions("a") == [1, 2, 3]


def test_a_relay_stops_while_a_delivery_hangs(database: Database, receiver: Receiver) -> None:
    release = threading.Event()
    write(database, ("a", 1))
    relay = Relay(database, {"news": Topic(lambda message: _wait(release))})
    relay.start()
    time.sleep(0.3)

    relay.stop()

    assert not release.is_set()
    release.set()
    eventually(lambda: not rows(database))


def test_the_metrics_count_waiting_delivered_and_failed_rows(database: Database, receiver: Receiver) -> None:
    delivered, failed = sample("delivered_total"), sample("failed_total")
    receiver.fails = lambda message: ValueError("no") if message.key == "bad" else None
    write(database, ("bad", 1), ("bad", 2), ("good", 1))
    Clock(database).travel(timedelta(seconds=100))

    with relays(database, Topic(receiver)):
        eventually(lambda: sample("pending") == 2)

    assert sample("oldest_seconds") >= 100
    assert sample("delivered_total") == delivered + 1
    assert sample("failed_total") >= failed + 1


def test_a_refused_row_waits_longer_each_time_up_to_five_seconds() -> None:
    for attempts, longest in ((1, 0.4), (2, 0.8), (3, 1.6), (4, 3.2), (5, 5.0), (1000, MAX_BACKOFF_SECONDS)):
        waits = [backoff(attempts, is_away=False).total_seconds() for _ in range(200)]

        assert longest / 2 <= min(waits) < max(waits) <= longest


def test_rows_wait_for_one_pause_alone_while_their_receiver_is_away() -> None:
    assert max(backoff(attempts, is_away=True) for attempts in range(1, 100)) <= timedelta(seconds=0.2)


def _has_got(receiver: Receiver, key: str, version: int) -> bool:
    return (key, version) in receiver.got


def _wait(release: threading.Event) -> None:
    release.wait(10)
