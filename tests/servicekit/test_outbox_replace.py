"""A row that takes the place of all rows of its key, whatever has become of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from servicekit.database import Database
from servicekit.outbox import Message, Outbox, PutOff, Relay, Topic
from servicekit.outbox.relay import PARK_AFTER
from tests.support.outbox import Receiver, rows, write


@pytest.fixture
def database(review_database: Database) -> Database:
    return review_database


def replace(database: Database, version: int) -> None:
    with database.transaction():
        Outbox(database).replace("news", "a", version, {})


def test_it_does_not_wait_for_rows_that_were_put_off_or_parked(database: Database) -> None:
    receiver = Receiver()
    relay = Relay(database, {"news": Topic(receiver)})
    receiver.fails = lambda message: PutOff(timedelta(hours=10), "later") if message.version == 1 else None
    write(database, ("a", 1), ("b", 5))
    while relay.deliver_one():
        pass

    replace(database, 2)
    assert relay.deliver_one()

    database.execute("UPDATE outbox SET refusals = 0")
    write(database, ("a", 3))
    database.execute(f"UPDATE outbox SET refusals = {PARK_AFTER - 1} WHERE version = 3")
    receiver.fails = lambda message: ValueError("no") if message.version == 3 else None
    assert relay.deliver_one()
    assert [row["parked_at"] is not None for row in rows(database)] == [True]
    replace(database, 4)
    assert relay.deliver_one()

    assert receiver.got == [("b", 5), ("a", 2), ("a", 4)]
    assert rows(database) == []


@pytest.mark.parametrize(
    "outcome", [lambda: None, lambda: PutOff(timedelta(hours=1), "later"), lambda: ValueError("no")]
)
def test_it_outlives_every_outcome_of_a_delivery_that_is_under_way(
    database: Database, outcome: Callable[[], Exception | None]
) -> None:
    got: list[int] = []

    def deliver(message: Message) -> None:
        got.append(message.version)
        if message.version == 1:
            replace(database, 2)
            if error := outcome():
                raise error

    write(database, ("a", 1))
    relay = Relay(database, {"news": Topic(deliver)})

    while relay.deliver_one():
        pass

    assert got == [1, 2]
    assert rows(database) == []
