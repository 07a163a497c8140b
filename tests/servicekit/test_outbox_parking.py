"""A row that its receiver keeps refusing is parked, and blocks only its own key."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from servicekit.clock import Clock
from servicekit.database import Database, Row, Statement
from servicekit.errors import DeadlineExceeded, NotFound, Unavailable
from servicekit.outbox import Message, Relay, Topic
from servicekit.outbox.admin import resend
from servicekit.outbox.backlog import PARKED, PENDING
from servicekit.outbox.relay import ERROR_LENGTH, PARK_AFTER, error_text
from tests.support.eventually import eventually
from tests.support.outbox import Receiver, relays, rows, sample, write

LATER = timedelta(seconds=10)


@pytest.fixture
def database(review_database: Database) -> Database:
    return review_database


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the pauses while a receiver is away; the tests move the time."""
    monkeypatch.setattr("servicekit.outbox.relay.AWAY_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def _nothing_measured() -> None:
    """Reset the gauges, which other tests have set."""
    for gauge in (PENDING, PARKED):
        gauge.labels("news").set(0)


def refusing(*keys: str) -> Callable[[Message], Exception | None]:
    return lambda message: NotFound("Gig") if message.key in keys else None


def deliver(database: Database, relay: Relay, times: int) -> None:
    """Deliver this many rows, and after each let the longest time pass that a row can have to wait."""
    for _ in range(times):
        assert relay.deliver_one()
        Clock(database).travel(LATER)


def only(database: Database) -> Row:
    (row,) = rows(database)
    return row


def test_a_row_is_parked_with_its_error_when_it_was_refused_twenty_times_in_a_row(
    database: Database, receiver: Receiver
) -> None:
    receiver.fails = refusing("a")
    relay = Relay(database, {"news": Topic(receiver)})
    write(database, ("a", 1))

    deliver(database, relay, PARK_AFTER - 1)
    assert only(database)["parked_at"] is None
    deliver(database, relay, 1)

    row = only(database)
    assert row["parked_at"] is not None
    assert row["error"] == "NOT_FOUND: Gig not found"
    assert row["attempts"] == row["refusals"] == PARK_AFTER == 20
    assert not relay.deliver_one()


def test_parking_is_logged_once_as_an_error(database: Database, receiver: Receiver) -> None:
    receiver.fails = refusing("a")
    write(database, ("a", 1))

    with capture_logs() as logs:
        relay = Relay(database, {"news": Topic(receiver)})
        deliver(database, relay, PARK_AFTER)
        assert not relay.deliver_one()

    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["event"] == "outbox row parked"
    assert (entry["topic"], entry["key"], entry["version"]) == ("news", "a", 1)
    assert entry["error"] == "NOT_FOUND: Gig not found"


@pytest.mark.parametrize("failure", [Unavailable, DeadlineExceeded])
def test_no_row_is_parked_while_its_receiver_is_away(
    database: Database, receiver: Receiver, failure: type[Exception]
) -> None:
    receiver.fails = lambda message: failure()
    relay = Relay(database, {"news": Topic(receiver)})
    write(database, ("a", 1))

    deliver(database, relay, PARK_AFTER * 3)

    row = only(database)
    assert (row["parked_at"], row["attempts"], row["refusals"]) == (None, PARK_AFTER * 3, 0)
    receiver.fails = lambda message: None
    deliver(database, relay, 1)
    assert receiver.got == [("a", 1)]


def test_a_long_absence_does_not_count_when_the_receiver_refuses_afterwards(
    database: Database, receiver: Receiver
) -> None:
    relay = Relay(database, {"news": Topic(receiver)})
    write(database, ("a", 1))
    receiver.fails = lambda message: Unavailable()
    deliver(database, relay, PARK_AFTER)
    receiver.fails = refusing("a")

    deliver(database, relay, PARK_AFTER - 1)

    assert only(database)["parked_at"] is None


def test_a_parked_row_holds_up_its_own_key_alone(database: Database, receiver: Receiver) -> None:
    receiver.fails = lambda message: NotFound("Gig") if (message.key, message.version) == ("a", 1) else None
    relay = Relay(database, {"news": Topic(receiver)})
    write(database, ("a", 1))
    deliver(database, relay, PARK_AFTER)

    with relays(database, Topic(receiver), count=2):
        write(database, ("a", 2), ("b", 1), ("b", 2), ("c", 1))
        eventually(lambda: len(receiver.got) == 3)

    assert sorted(receiver.got) == [("b", 1), ("b", 2), ("c", 1)]
    assert [(row["key"], row["version"]) for row in rows(database)] == [("a", 1), ("a", 2)]


def test_a_parked_row_that_is_sent_again_goes_out_at_once_and_its_key_after_it(
    database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.outbox.relay.POLL_SECONDS", 60.0)
    receiver.fails = refusing("a")
    relay = Relay(database, {"news": Topic(receiver)})
    write(database, ("a", 1), ("a", 2))
    deliver(database, relay, PARK_AFTER)
    receiver.fails = lambda message: None

    with relays(database, Topic(receiver)):
        eventually(lambda: sample("parked") == 1)
        time.sleep(0.3)
        assert resend(database) == [rows(database)[0]["id"]]
        eventually(lambda: receiver.got == [("a", 1), ("a", 2)])

    assert rows(database) == []


def test_a_row_that_is_sent_again_and_still_refused_is_parked_again_after_as_many_times(
    database: Database, receiver: Receiver
) -> None:
    receiver.fails = refusing("a")
    relay = Relay(database, {"news": Topic(receiver)})
    write(database, ("a", 1))
    deliver(database, relay, PARK_AFTER)
    resend(database, only(database)["id"])
    assert (only(database)["attempts"], only(database)["refusals"], only(database)["error"]) == (0, 0, "")

    deliver(database, relay, PARK_AFTER - 1)
    assert only(database)["parked_at"] is None
    deliver(database, relay, 1)

    assert only(database)["parked_at"] is not None


def test_only_the_row_that_was_named_is_sent_again(database: Database, receiver: Receiver) -> None:
    receiver.fails = refusing("a", "b")
    relay = Relay(database, {"news": Topic(receiver)})
    write(database, ("a", 1), ("b", 1))
    deliver(database, relay, PARK_AFTER * 2)
    first, second = rows(database)

    assert resend(database, second["id"]) == [second["id"]]

    assert [row["parked_at"] is None for row in rows(database)] == [False, True]
    assert resend(database, second["id"]) == []
    assert resend(database, first["id"]) == [first["id"]]


def test_where_a_row_tells_all_the_refusals_of_a_key_count_over_its_rows(
    database: Database, receiver: Receiver
) -> None:
    receiver.fails = refusing("a")
    relay = Relay(database, {"news": Topic(receiver, newest_only=True)})
    for version in range(1, PARK_AFTER + 1):
        write(database, ("a", version))
        deliver(database, relay, 1)

    row = only(database)
    assert (row["version"], row["refusals"]) == (PARK_AFTER, PARK_AFTER)
    assert row["parked_at"] is not None


def test_a_parked_row_is_counted_as_parked_and_not_as_waiting(database: Database, receiver: Receiver) -> None:
    receiver.fails = refusing("a")
    relay = Relay(database, {"news": Topic(receiver)})
    write(database, ("a", 1), ("a", 2))
    deliver(database, relay, PARK_AFTER)

    with relays(database, Topic(receiver)):
        eventually(lambda: sample("parked") == 1)
        assert sample("pending") == 1
        resend(database)
        receiver.fails = lambda message: None
        eventually(lambda: sample("parked") == sample("pending") == 0)


def test_a_handler_whose_statement_fails_is_a_refusal_like_any_other(database: Database) -> None:
    broken = Statement("SELECT 1 / $1::integer")

    def fail(message: Message) -> None:
        with database.transaction():
            write(database, ("written by the handler", 1), topic="other")
            database.fetch_all(broken, 0)

    relay = Relay(database, {"news": Topic(fail)})
    write(database, ("a", 1))

    deliver(database, relay, PARK_AFTER)

    row = only(database)
    assert row["parked_at"] is not None
    assert "division by zero" in row["error"]


def test_an_error_is_one_line_that_the_database_can_hold() -> None:
    assert error_text(NotFound("Gig")) == "NOT_FOUND: Gig not found"
    assert error_text(ValueError("a\0b\nc")) == r"ValueError('a\x00b\nc')"
    assert len(error_text(ValueError("x" * 5000))) == ERROR_LENGTH
