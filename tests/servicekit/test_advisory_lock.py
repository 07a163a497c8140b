"""Advisory locks: names that one process at a time can lock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from servicekit.advisory_lock import (
    TRY_LOCK,
    UNLOCK,
    advisory_lock,
    held_lock,
    name_if_held,
    note_release,
    unlock_with_commit,
)
from servicekit.database import Database, Statement
from tests.support.at_once import closing
from tests.support.eventually import eventually

WRITE = Statement("UPDATE app_clock SET ahead = ahead")


def is_free(database: Database, name: str) -> bool:
    """Return whether another worker could lock the name now."""

    def look() -> bool:
        with advisory_lock(database, name) as locked:
            return locked

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(closing(database, look)).result(5)


def test_a_name_is_locked_by_one_at_a_time_and_free_afterwards(order_database: Database) -> None:
    with advisory_lock(order_database, "first") as locked:
        assert locked
        assert not is_free(order_database, "first")
        assert is_free(order_database, "second")

    assert is_free(order_database, "first")


def test_a_name_stays_locked_over_transactions_and_is_freed_by_an_error(order_database: Database) -> None:
    try:
        with advisory_lock(order_database, "first"):
            with order_database.transaction():
                assert not is_free(order_database, "first")
            assert not is_free(order_database, "first")
            raise ValueError
    except ValueError:
        pass

    assert is_free(order_database, "first")


def test_a_lost_connection_frees_the_name(order_database: Database) -> None:
    with advisory_lock(order_database, "first"):
        order_database.close()

        # The server notices the end of a connection a moment later.
        assert eventually(lambda: is_free(order_database, "first"))


def test_a_name_can_be_freed_with_the_commit_of_a_transaction(order_database: Database) -> None:
    with advisory_lock(order_database, "first"):
        with order_database.transaction():
            order_database.write(WRITE)
            unlock_with_commit(order_database, "first")
            order_database.fetch_all(WRITE)
            assert not is_free(order_database, "first")

        assert is_free(order_database, "first")


def test_a_name_that_a_statement_has_locked_stays_so_until_the_end_of_the_block(order_database: Database) -> None:
    order_database.fetch_one(TRY_LOCK, "first")

    with held_lock(order_database, "first"):
        assert not is_free(order_database, "first")

    assert is_free(order_database, "first")


def test_a_statement_can_free_a_name_only_on_the_connection_that_has_it(order_database: Database) -> None:
    with advisory_lock(order_database, "first"):
        assert name_if_held(order_database, "first") == "first"
        order_database.fetch_one(UNLOCK, "first")
        note_release(order_database, "first")

        assert is_free(order_database, "first")
        assert name_if_held(order_database, "first") is None


def test_a_name_stays_locked_when_the_transaction_that_would_free_it_is_rolled_back(order_database: Database) -> None:
    with advisory_lock(order_database, "first"):
        with suppress(ValueError), order_database.transaction():
            order_database.fetch_all(WRITE)
            unlock_with_commit(order_database, "first")
            raise ValueError
        with order_database.transaction():
            order_database.fetch_all(WRITE)

        assert not is_free(order_database, "first")

    assert is_free(order_database, "first")
