"""Transactions that lose a conflict with another one, in a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from servicekit.database import Database, DatabaseAway, Statement, TransactionConflict, retry_conflicts
from servicekit.errors import DeadlineExceeded
from tests.support.at_once import closing
from tests.support.postgres import PostgresServer

ADD = Statement("UPDATE things SET number = number + 1 WHERE name = $1")
NUMBERS = Statement("SELECT name, number FROM things ORDER BY name")
FAIL = "DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '{sqlstate}'; END $$"


@pytest.fixture
def database(postgres: PostgresServer, request: pytest.FixtureRequest) -> Database:
    database = Database(postgres.empty("gig", f"conflicts_{abs(hash(request.node.name))}"))
    database.execute("CREATE TABLE things (name text PRIMARY KEY, number integer NOT NULL)")
    database.execute("INSERT INTO things VALUES ('one', 0), ('two', 0)")
    return database


def conflicts(sqlstate: str) -> float:
    """Return how many transactions of this process have lost a conflict."""
    return REGISTRY.get_sample_value("marketplace_transaction_conflicts_total", {"sqlstate": sqlstate}) or 0


def numbers(database: Database) -> dict[str, int]:
    return {row["name"]: row["number"] for row in database.fetch_all(NUMBERS)}


def crossing(database: Database) -> list[Callable[[], None]]:
    """Return two transactions that lock two rows in opposite orders. In their first run each waits for the other."""
    both_hold_one = threading.Barrier(2)

    def transaction(first: str, second: str) -> Callable[[], None]:
        runs = iter((True,))

        def run() -> None:
            with database.transaction():
                database.fetch_all(ADD, first)
                if next(runs, False):
                    both_hold_one.wait(10)
                database.fetch_all(ADD, second)

        return run

    return [transaction("one", "two"), transaction("two", "one")]


def run_both(database: Database, works: list[Callable[[], None]]) -> list[BaseException | None]:
    """Run two works at the same time. Return the error of each."""
    with ThreadPoolExecutor(2) as pool:
        return [run.exception(30) for run in [pool.submit(closing(database, work)) for work in works]]


def test_a_deadlock_is_a_conflict_and_no_database_that_is_away(database: Database) -> None:
    before = conflicts("40P01")

    with capture_logs() as logs:
        errors = run_both(database, crossing(database))

    (lost,) = [error for error in errors if error is not None]
    assert isinstance(lost, TransactionConflict)
    assert not isinstance(lost, DatabaseAway)
    assert (lost.code, lost.is_over) == ("UNAVAILABLE", True)
    assert numbers(database) == {"one": 1, "two": 1}
    assert conflicts("40P01") == before + 1
    assert [(entry["event"], entry["sqlstate"]) for entry in logs] == [("transaction conflict", "40P01")]


def test_a_transaction_that_lost_a_deadlock_is_run_again(database: Database) -> None:
    errors = run_both(database, [retry_conflicts(work) for work in crossing(database)])

    assert errors == [None, None]
    assert numbers(database) == {"one": 2, "two": 2}


def test_a_serialization_failure_is_a_conflict(database: Database) -> None:
    before = conflicts("40001")

    with pytest.raises(TransactionConflict), database.transaction():
        database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        database.fetch_all(NUMBERS)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(closing(database, lambda: database.fetch_all(ADD, "one"))).result(30)
        database.fetch_all(ADD, "one")

    assert numbers(database)["one"] == 1
    assert conflicts("40001") == before + 1


def test_a_transaction_that_loses_every_time_is_given_up(database: Database) -> None:
    runs = []

    @retry_conflicts
    def work() -> None:
        with database.transaction():
            runs.append(1)
            database.execute(FAIL.format(sqlstate="40P01"))

    with pytest.raises(TransactionConflict):
        work()

    assert len(runs) == 4


def test_within_an_outer_transaction_only_the_outer_one_is_run_again(database: Database) -> None:
    runs = []

    @retry_conflicts
    def inner() -> None:
        with database.transaction():
            runs.append("inner")
            database.fetch_all(ADD, "one")
            if len(runs) < 4:
                database.execute(FAIL.format(sqlstate="40001"))

    @retry_conflicts
    def outer() -> None:
        with database.transaction():
            runs.append("outer")
            inner()

    outer()

    assert runs == ["outer", "inner", "outer", "inner"]
    assert numbers(database)["one"] == 1


@pytest.mark.parametrize("error", [DatabaseAway, DeadlineExceeded, KeyError])
def test_another_error_is_not_run_again(error: type[Exception]) -> None:
    runs = []

    @retry_conflicts
    def work() -> None:
        runs.append(1)
        raise error

    with pytest.raises(error):
        work()

    assert runs == [1]
