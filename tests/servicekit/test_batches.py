"""Statements that wait for the next one: what is sent when, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2.errors
import pytest

from servicekit.database import Database, DatabaseAway, Statement
from tests.support.postgres import PostgresServer
from tests.support.recorded_sql import Recorder, recording

ADD = Statement("INSERT INTO added (word) VALUES ($1)")
WORDS = Statement("SELECT word FROM added ORDER BY word")
PID = Statement("SELECT pg_backend_pid() AS pid")
END_OTHERS = Statement("SELECT pg_terminate_backend($1)")


@pytest.fixture
def sql(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    with recording(monkeypatch) as recorder:
        yield recorder


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.fresh("gig")


@pytest.fixture
def database(sql: Recorder, url: str) -> Iterator[Database]:
    database = Database(url)
    database.execute("CREATE TABLE added (word text PRIMARY KEY)")
    yield database
    database.close()


def words(database: Database) -> list[str]:
    return [row["word"] for row in database.fetch_all(WORDS)]


def test_writes_go_with_the_next_statement_and_with_the_commit(sql: Recorder, database: Database) -> None:
    with sql.noting() as messages, database.transaction():
        database.write(ADD, "a")
        database.write(ADD, "b")
        assert words(database) == ["a", "b"]
        database.write(ADD, "c")

    assert [[statement.split()[0] for statement in message] for message in messages] == [
        ["BEGIN", "INSERT", "INSERT", "SELECT"],
        ["INSERT", "COMMIT"],
    ]
    assert words(database) == ["a", "b", "c"]


def test_a_transaction_without_a_statement_sends_nothing(sql: Recorder, database: Database) -> None:
    with sql.noting() as messages, database.transaction(), database.transaction():
        pass

    assert messages == []


def test_an_error_of_a_write_comes_with_the_commit_and_takes_everything_back(database: Database) -> None:
    with pytest.raises(psycopg2.errors.UniqueViolation), database.transaction():
        assert words(database) == []
        database.write(ADD, "a")
        database.write(ADD, "a")

    assert words(database) == []
    with database.transaction():
        database.write(ADD, "b")
    assert words(database) == ["b"]


def test_writes_that_wait_are_forgotten_when_their_transaction_fails(database: Database) -> None:
    with pytest.raises(RuntimeError, match="no"), database.transaction():
        database.write(ADD, "a")
        raise RuntimeError("no")

    assert words(database) == []


@pytest.mark.parametrize("is_sent", [True, False])
def test_an_inner_transaction_takes_back_its_own_writes_alone(database: Database, is_sent: bool) -> None:
    with database.transaction():
        database.write(ADD, "outer")
        with pytest.raises(RuntimeError, match="no"), database.transaction():
            database.write(ADD, "inner")
            if is_sent:
                assert words(database) == ["inner", "outer"]
            raise RuntimeError("no")
        with database.transaction():
            database.write(ADD, "other")

    assert words(database) == ["other", "outer"]


def test_a_statement_of_peewee_comes_after_the_writes_that_wait(database: Database) -> None:
    with database.transaction():
        database.write(ADD, "a")
        database.execute("UPDATE added SET word = word || %s", ("b",))

    assert words(database) == ["ab"]


def test_a_connection_that_dies_before_the_commit_commits_nothing_and_nothing_twice(
    database: Database, url: str
) -> None:
    other = Database(url)
    with pytest.raises(DatabaseAway), database.transaction():
        [row] = database.fetch_all(PID)
        database.write(ADD, "a")
        other.fetch_all(END_OTHERS, row["pid"])

    assert words(database) == []
    other.close()


def test_a_connection_that_died_while_idle_is_replaced_with_all_that_waits(database: Database, url: str) -> None:
    other = Database(url)
    [row] = database.fetch_all(PID)
    other.fetch_all(END_OTHERS, row["pid"])

    with database.transaction():
        database.write(ADD, "a")

    assert words(database) == ["a"]
    other.close()
