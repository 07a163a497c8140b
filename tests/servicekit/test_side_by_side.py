"""Work on several things at once."""

from __future__ import annotations

import threading

import pytest

from servicekit.database import Database, Statement
from servicekit.side_by_side import side_by_side
from tests.support.eventually import eventually

WAIT_SECONDS = 30
CONNECTIONS = Statement("SELECT count(*) AS number FROM pg_stat_activity WHERE datname = current_database()")


def test_a_slow_item_does_not_hold_up_the_others_and_all_are_done(order_database: Database) -> None:
    others_done = threading.Semaphore(0)
    done: list[int] = []

    def work(item: int) -> None:
        if item == 0:
            for _ in range(9):
                assert others_done.acquire(timeout=WAIT_SECONDS)
        done.append(item)
        others_done.release()

    side_by_side(work, range(10), 2, order_database)

    assert (sorted(done), done[-1]) == (list(range(10)), 0)


def test_the_first_error_is_raised_when_all_threads_have_ended(order_database: Database) -> None:
    has_failed = threading.Event()
    done: list[str] = []

    def work(item: str) -> None:
        if item == "bad":
            has_failed.set()
            raise ValueError(item)
        assert has_failed.wait(WAIT_SECONDS)
        done.append(item)

    with pytest.raises(ValueError, match="bad"):
        side_by_side(work, ["good", "bad"], 2, order_database)

    assert done == ["good"]


def test_no_connection_is_left(order_database: Database) -> None:
    before = order_database.fetch_all(CONNECTIONS)

    side_by_side(lambda item: order_database.fetch_all(CONNECTIONS), range(4), 4, order_database)

    # The server takes a moment to end them.
    eventually(lambda: order_database.fetch_all(CONNECTIONS) == before)


def test_nothing_to_do_starts_nothing(order_database: Database) -> None:
    side_by_side(lambda item: pytest.fail("called"), [], 4, order_database)
