"""What is promised to another service reaches it, with a real PostgreSQL between."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg2
import pytest
from prometheus_client import REGISTRY

from deploy.local.postgres import SUPERUSER, database_url
from servicekit.clock import Clock
from servicekit.database import Database, Row, Statement
from servicekit.errors import DeadlineExceeded, Unavailable
from servicekit.outbox import MAX_BACKOFF_SECONDS, Message, Outbox, Relay, Topic, backoff
from tests.support.postgres import PostgresServer

ROWS = Statement("SELECT key, version, attempts, next_attempt_at - app_now() AS rests FROM outbox ORDER BY id")


class Receiver:
    """Another service: takes what comes unless it is told to fail, and says when two of a key come at once."""

    def __init__(self) -> None:
        self.got: list[tuple[str, int]] = []
        self.fails: Callable[[Message], Exception | None] = lambda message: None
        self.takes_seconds = 0.0
        self.overlaps = 0
        self._under_way: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def __call__(self, message: Message) -> None:
        with self._lock:
            self._under_way[message.key] += 1
            self.overlaps += self._under_way[message.key] > 1
        try:
            if self.takes_seconds:
                time.sleep(self.takes_seconds)
            if failure := self.fails(message):
                raise failure
            with self._lock:
                self.got.append((message.key, message.version))
        finally:
            with self._lock:
                self._under_way[message.key] -= 1

    def versions(self, key: str) -> list[int]:
        return [version for got, version in self.got if got == key]


@pytest.fixture
def database(review_database: Database) -> Database:
    return review_database


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@contextmanager
def relays(database: Database, outbox: Outbox, topic: Topic, count: int = 1) -> Iterator[list[Relay]]:
    """Relays as in this many workers, the first with the outbox's own wake-up."""
    boxes = [outbox, *(Outbox(database) for _ in range(count - 1))]
    running = [Relay(box, database, {"news": topic}) for box in boxes]
    with ExitStack() as stack:
        for relay in running:
            relay.start()
            stack.callback(relay.stop)
        yield running


def write(outbox: Outbox, database: Database, *rows: tuple[str, int], topic: str = "news") -> None:
    with database.transaction():
        for key, version in rows:
            outbox.add(topic, key, version, {"says": f"{key}{version}"})
    outbox.wake()


def rows(database: Database) -> list[Row]:
    return database.fetch_all(ROWS)


def eventually(holds: Callable[[], Any], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def sample(name: str) -> float:
    return REGISTRY.get_sample_value(f"marketplace_outbox_{name}", {"topic": "news"}) or 0.0


def test_a_row_reaches_its_handler_and_is_gone(database: Database, outbox: Outbox) -> None:
    got: list[Message] = []
    write(outbox, database, ("a", 7))

    assert Relay(outbox, database, {"news": Topic(got.append)}).deliver_one()

    assert got == [Message("news", "a", 7, {"says": "a7"}, attempts=0)]
    assert rows(database) == []


def test_a_row_is_only_written_in_the_transaction_of_what_it_tells_of(outbox: Outbox) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        outbox.add("news", "a", 1, {})


def test_what_was_rolled_back_is_never_told(database: Database, outbox: Outbox, receiver: Receiver) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction():
        outbox.add("news", "a", 1, {})
        raise ZeroDivisionError

    assert not Relay(outbox, database, {"news": Topic(receiver)}).deliver_one()


def test_a_commit_wakes_the_relay_of_its_worker_at_once(
    database: Database, outbox: Outbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.outbox.POLL_SECONDS", 60)
    with relays(database, outbox, Topic(receiver)):
        time.sleep(0.3)

        write(outbox, database, ("a", 1))

        eventually(lambda: receiver.got, seconds=2)


def test_another_workers_relay_finds_a_row_without_being_woken(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    with relays(database, Outbox(database), Topic(receiver)):
        write(outbox, database, ("a", 1))

        eventually(lambda: receiver.got, seconds=2)


def test_a_keys_rows_arrive_in_order_and_one_at_a_time_from_several_workers(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    receiver.takes_seconds = 0.002
    write(outbox, database, *((key, version) for version in range(1, 16) for key in "abcd"))

    with relays(database, outbox, Topic(receiver), count=4):
        eventually(lambda: not rows(database), seconds=20)

    assert receiver.overlaps == 0
    for key in "abcd":
        assert receiver.versions(key) == list(range(1, 16))


def test_a_row_waits_while_another_worker_delivers_the_one_before_it(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    release = threading.Event()
    write(outbox, database, ("a", 1), ("a", 2), ("b", 1))

    with relays(database, outbox, Topic(lambda message: _wait(release))):
        other = Relay(Outbox(database), database, {"news": Topic(receiver)})
        time.sleep(0.3)
        assert other.deliver_one()
        assert not other.deliver_one()
        release.set()
        eventually(lambda: not rows(database))

    assert receiver.got == [("b", 1)]


def test_where_a_row_tells_all_only_the_newest_of_a_key_is_sent(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    write(outbox, database, ("a", 1), ("b", 1), ("a", 2), ("a", 3))
    relay = Relay(outbox, database, {"news": Topic(receiver, newest_only=True)})

    while relay.deliver_one():
        pass

    assert sorted(receiver.got) == [("a", 3), ("b", 1)]
    assert rows(database) == []


def test_of_a_key_that_fails_only_the_newest_row_is_kept(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    receiver.fails = lambda message: ValueError("no")
    write(outbox, database, ("a", 1), ("a", 2))

    Relay(outbox, database, {"news": Topic(receiver, newest_only=True)}).deliver_one()

    assert [(row["version"], row["attempts"]) for row in rows(database)] == [(2, 1)]


def test_a_failed_row_rests_and_is_tried_again(database: Database, outbox: Outbox, receiver: Receiver) -> None:
    receiver.fails = lambda message: None if message.attempts == 3 else ValueError("no")
    write(outbox, database, ("a", 1))

    with relays(database, outbox, Topic(receiver)):
        eventually(lambda: receiver.got, seconds=10)

    assert receiver.got == [("a", 1)]


def test_a_failing_key_holds_up_its_own_rows_alone(database: Database, outbox: Outbox, receiver: Receiver) -> None:
    receiver.fails = lambda message: ValueError("poison") if (message.key, message.version) == ("a", 1) else None
    write(outbox, database, ("a", 1), ("a", 2), ("b", 1), ("c", 1))

    with relays(database, outbox, Topic(receiver)):
        eventually(lambda: len(receiver.got) == 2)
        time.sleep(0.3)

    assert sorted(receiver.got) == [("b", 1), ("c", 1)]
    assert [(row["key"], row["version"]) for row in rows(database)] == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("failure", [Unavailable, DeadlineExceeded])
def test_everything_arrives_promptly_once_a_receiver_is_back(
    database: Database, outbox: Outbox, receiver: Receiver, failure: type[Exception]
) -> None:
    receiver.fails = lambda message: failure()
    write(outbox, database, *((f"k{number}", 1) for number in range(30)))
    with relays(database, outbox, Topic(receiver), count=2):
        time.sleep(1.5)
        assert receiver.got == []

        receiver.fails = lambda message: None

        eventually(lambda: len(receiver.got) == 30, seconds=2)


def test_a_receiver_that_is_away_is_asked_once_a_round_and_not_once_a_row(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    asked: list[Message] = []

    def away(message: Message) -> None:
        asked.append(message)
        raise Unavailable

    write(outbox, database, *((f"k{number}", 1) for number in range(100)))

    with relays(database, outbox, Topic(away)):
        time.sleep(1)

    assert 2 <= len(asked) <= 8


def test_a_row_of_a_topic_that_this_worker_does_not_know_is_left_for_those_who_do(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    write(outbox, database, ("a", 1), topic="of a newer version")

    assert not Relay(outbox, database, {"news": Topic(receiver)}).deliver_one()

    assert len(rows(database)) == 1


def test_a_worker_that_dies_in_the_middle_leaves_the_row_for_the_next(
    database: Database, outbox: Outbox, receiver: Receiver, postgres: PostgresServer
) -> None:
    def dying(message: Message) -> None:
        _end_all_connections(postgres, database)

    write(outbox, database, ("a", 1))
    with pytest.raises(Unavailable):
        Relay(outbox, database, {"news": Topic(dying)}).deliver_one()

    assert Relay(outbox, database, {"news": Topic(receiver)}).deliver_one()

    assert receiver.got == [("a", 1)]


def test_the_relay_goes_on_after_it_has_lost_its_database(
    database: Database, outbox: Outbox, receiver: Receiver, postgres: PostgresServer
) -> None:
    with relays(database, outbox, Topic(receiver)):
        for version in (1, 2, 3):
            write(outbox, database, ("a", version))
            eventually(partial(_has_got, receiver, "a", version))
            _end_all_connections(postgres, database)

    assert receiver.versions("a") == [1, 2, 3]


def test_a_relay_stops_within_a_second_also_when_a_delivery_hangs(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    release = threading.Event()
    write(outbox, database, ("a", 1))
    relay = Relay(outbox, database, {"news": Topic(lambda message: _wait(release))})
    relay.start()
    time.sleep(0.3)
    started = time.monotonic()

    relay.stop()

    assert time.monotonic() - started < 1.5
    release.set()
    eventually(lambda: not rows(database))


def test_the_metrics_tell_what_waits_what_went_and_what_failed(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    delivered, failed = sample("delivered_total"), sample("failed_total")
    receiver.fails = lambda message: ValueError("no") if message.key == "bad" else None
    write(outbox, database, ("bad", 1), ("bad", 2), ("good", 1))
    Clock(database).travel(timedelta(seconds=100))

    with relays(database, outbox, Topic(receiver)):
        eventually(lambda: sample("pending") == 2)

    assert sample("oldest_seconds") >= 100
    assert sample("delivered_total") == delivered + 1
    assert sample("failed_total") >= failed + 1


def test_a_refused_row_rests_longer_each_time_up_to_five_seconds() -> None:
    for attempts, longest in ((1, 0.4), (2, 0.8), (3, 1.6), (4, 3.2), (5, 5.0), (1000, MAX_BACKOFF_SECONDS)):
        rests = [backoff(attempts, away=False).total_seconds() for _ in range(200)]

        assert longest / 2 <= min(rests) < max(rests) <= longest


def test_rows_rest_one_round_alone_when_their_receiver_is_away() -> None:
    assert max(backoff(attempts, away=True) for attempts in range(1, 100)) <= timedelta(seconds=0.2)


def _has_got(receiver: Receiver, key: str, version: int) -> bool:
    return (key, version) in receiver.got


def _wait(release: threading.Event) -> None:
    release.wait(10)


def _end_all_connections(postgres: PostgresServer, database: Database) -> None:
    """Ends them from the server's side, as a crash does."""
    name = database.peewee.connection().info.dbname
    connection = psycopg2.connect(database_url(postgres.layout, "postgres", SUPERUSER))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
    finally:
        connection.close()
