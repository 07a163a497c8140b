"""Deliveries run beside each other, in several workers, and never two of one key."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from servicekit import crash
from servicekit.database import Database, DatabaseAway, Statement
from servicekit.outbox import Message, Relay, Topic
from servicekit.outbox.delivery_threads import DeliveryThreads
from servicekit.outbox.rows import Claim, Rows
from tests.support.eventually import eventually
from tests.support.outbox import Receiver, end_all_connections, relays, rows, write
from tests.support.postgres import PostgresServer
from tests.support.relay_process import OVERLAPS, TABLE, deliveries, relay_process

IN_TRANSACTION = Statement("""
    SELECT state, query FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
""")
CONNECTIONS = Statement("""
    SELECT count(*) AS connections FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
""")

LOCKS = Statement("""
    SELECT count(*) AS locks FROM pg_locks
    WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


class Gate:
    """A receiver of rows, in which those whose key begins with `slow` stay until it is opened."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.left: list[str] = []
        self._open = threading.Event()

    def __call__(self, message: Message) -> None:
        self.entered.append(message.key)
        if message.key.startswith("slow"):
            self._open.wait(60)
        self.left.append(message.key)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def database(review_database: Database) -> Database:
    return review_database


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@contextmanager
def running(relay: Relay, gate: Gate) -> Iterator[None]:
    relay.start()
    try:
        yield
    finally:
        gate.open()
        relay.stop()


def test_slow_deliveries_of_one_topic_hold_up_no_other_topic(database: Database, gate: Gate) -> None:
    write(database, *((f"slow{number}", 1) for number in range(5)), topic="slow")
    relay = Relay(database, {"slow": Topic(gate), "news": Topic(gate)})
    with running(relay, gate):
        eventually(lambda: gate.entered)

        write(database, ("a", 1), ("b", 1))

        eventually(lambda: sorted(gate.left) == ["a", "b"])
        assert gate.entered.count("slow0") == 1


def test_slow_rows_hold_up_no_other_row_of_their_topic_while_a_thread_is_free(database: Database, gate: Gate) -> None:
    write(database, ("slow1", 1), ("slow2", 1), ("slow3", 1))
    with running(Relay(database, {"news": Topic(gate, concurrency=4)}), gate):
        eventually(lambda: len(gate.entered) == 3)

        write(database, ("a", 1))

        eventually(lambda: gate.left == ["a"])


def test_a_topic_has_no_more_deliveries_at_once_than_it_says(database: Database, gate: Gate) -> None:
    write(database, *((f"slow{number}", 1) for number in range(9)), ("a", 1))
    with running(Relay(database, {"news": Topic(gate, concurrency=3)}), gate):
        eventually(lambda: len(gate.entered) == 3)
        write(database, ("b", 1))
        threading.Event().wait(0.3)
        assert len(gate.entered) == 3

        gate.open()

        eventually(lambda: not rows(database))
    assert len(gate.left) == 11


def test_a_keys_rows_are_delivered_in_order_and_one_at_a_time_with_many_deliveries_at_once(
    database: Database,
) -> None:
    receiver = Receiver()
    receiver.takes_seconds = 0.002
    write(database, *((key, version) for version in range(1, 16) for key in "abcd"))

    with relays(database, Topic(receiver, concurrency=8), count=4):
        eventually(lambda: not rows(database))

    assert receiver.overlaps == 0
    for key in "abcd":
        assert receiver.versions(key) == list(range(1, 16))


def test_two_processes_deliver_a_keys_rows_in_order_and_one_at_a_time(database: Database) -> None:
    database.execute(TABLE)
    probes = count(1)

    def both_deliver() -> bool:
        write(database, *((f"probe {next(probes)}", 1) for _ in range(8)))
        return len({row["process"] for row in deliveries(database)}) == 2

    with relay_process(database, 0.005), relay_process(database, 0.005):
        eventually(both_deliver)
        write(database, *((key, version) for version in range(1, 21) for key in "abcdefg"))
        eventually(lambda: not rows(database))

    assert database.fetch_all(OVERLAPS) == []
    delivered = defaultdict(list)
    for row in deliveries(database):
        if not row["key"].startswith("probe"):
            delivered[row["key"]].append(row["version"])
    assert dict(delivered) == {key: list(range(1, 21)) for key in "abcdefg"}


def test_the_rows_of_a_killed_process_are_delivered_by_another_one(database: Database) -> None:
    database.execute(TABLE)
    receiver = Receiver()
    write(database, ("a", 1), ("b", 1), ("c", 1), ("d", 1), ("a", 2))
    with relay_process(database, 600) as process:
        eventually(lambda: len(deliveries(database)) == 4)
        with relays(database, Topic(receiver, concurrency=4)):
            write(database, ("e", 1))
            eventually(lambda: receiver.got == [("e", 1)])

            process.kill()

            eventually(lambda: not rows(database))

    assert sorted(receiver.got) == [("a", 1), ("a", 2), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]
    assert receiver.versions("a") == [1, 2]


def test_a_process_that_dies_between_a_delivery_and_its_commit_leaves_the_row_to_be_delivered_again(
    database: Database,
) -> None:
    database.execute(TABLE)
    write(database, ("a", 1))
    with relay_process(database, 0, CRASH_AT="outbox:commit") as process:
        assert process.wait(60) == crash.STATUS
        assert len(rows(database)) == 1

    with relay_process(database, 0):
        eventually(lambda: not rows(database))

    assert [(row["key"], row["version"]) for row in deliveries(database)] == [("a", 1), ("a", 1)]


def test_no_transaction_is_open_during_a_delivery(database: Database, gate: Gate) -> None:
    write(database, ("slow1", 1), ("slow2", 1))
    with running(Relay(database, {"news": Topic(gate, concurrency=4)}), gate):
        eventually(lambda: len(gate.entered) == 2)

        # Only what the relay still does after the claim, for milliseconds. PostgreSQL itself would end a transaction
        # that is idle for 30 seconds.
        eventually(lambda: not database.fetch_all(IN_TRANSACTION), seconds=10)


def test_a_relay_needs_one_connection_however_many_deliveries_it_makes(database: Database, gate: Gate) -> None:
    write(database, *((f"slow{number}", 1) for number in range(8)))
    with running(Relay(database, {"news": Topic(gate, concurrency=8), "other": Topic(gate)}), gate):
        eventually(lambda: len(gate.entered) == 8)

        row = database.fetch_one(CONNECTIONS)
        assert row is not None
        assert row["connections"] == 1
        gate.open()
        eventually(lambda: not rows(database))
    eventually(lambda: database.fetch_all(CONNECTIONS) == [{"connections": 0}])


def test_threads_of_deliveries_end_when_they_are_idle_and_with_them_their_connections(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.outbox.delivery_threads.IDLE_SECONDS", 0.1)
    others = set(threading.enumerate())
    write(database, *((f"k{number}", 1) for number in range(20)))

    with relays(database, Topic(lambda message: database.execute("SELECT pg_sleep(0.01)"), concurrency=8)):
        eventually(lambda: not rows(database))

        eventually(lambda: database.fetch_all(CONNECTIONS) == [{"connections": 1}])
        assert {thread.name for thread in set(threading.enumerate()) - others} == {"outbox"}


def test_the_keys_under_way_are_locked_again_when_the_connection_is_replaced(
    database: Database, gate: Gate, postgres: PostgresServer
) -> None:
    write(database, ("slow", 1), ("slow", 2))
    receiver = Receiver()
    with running(Relay(database, {"news": Topic(gate)}), gate):
        eventually(lambda: gate.entered)
        end_all_connections(postgres, database)
        eventually(lambda: database.fetch_all(CONNECTIONS) == [{"connections": 1}])
        eventually(lambda: database.fetch_all(LOCKS) == [{"locks": 1}])

        assert not Relay(database, {"news": Topic(receiver)}).deliver_one()

        gate.open()
        eventually(lambda: not rows(database))
    assert gate.left == ["slow", "slow"]


def test_a_delivery_whose_lock_was_lost_to_another_worker_does_no_harm(
    database: Database, gate: Gate, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(database, ("slow", 1), ("slow", 2))
    receiver = Receiver()
    with running(Relay(database, {"news": Topic(gate)}), gate):
        eventually(lambda: gate.entered)
        # The other worker is faster.
        monkeypatch.setattr(Rows, "prepare", lambda self, under_way: None)
        end_all_connections(postgres, database)
        assert Relay(database, {"news": Topic(receiver)}).deliver_one()

        gate.open()

        eventually(lambda: not rows(database))
    assert receiver.got == [("slow", 1)]
    assert gate.left == ["slow", "slow"]


def test_a_row_is_delivered_later_when_no_thread_can_be_started(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    failures = iter([RuntimeError("can't start new thread")])
    submit = DeliveryThreads.submit

    def failing(self: DeliveryThreads, job: Callable[[], None]) -> None:
        for failure in failures:
            raise failure
        submit(self, job)

    monkeypatch.setattr(DeliveryThreads, "submit", failing)
    write(database, ("a", 1), ("a", 2))

    with relays(database, Topic(receiver)):
        eventually(lambda: not rows(database))

    assert receiver.got == [("a", 1), ("a", 2)]


def test_an_outcome_is_stored_when_the_database_is_back_and_the_row_is_not_delivered_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    failures = iter([DatabaseAway(), DatabaseAway()])
    delete = Rows.delete

    def failing(self: Rows, claim: Claim) -> None:
        for failure in failures:
            raise failure
        delete(self, claim)

    monkeypatch.setattr(Rows, "delete", failing)
    write(database, ("a", 1))

    with relays(database, Topic(receiver)):
        eventually(lambda: not rows(database))

    assert receiver.got == [("a", 1)]
