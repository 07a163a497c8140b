"""A name that one process at a time holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from servicekit.advisory_lock import advisory_lock
from servicekit.database import Database
from tests.support.at_once import closing


def is_free(database: Database, name: str) -> bool:
    """Whether another worker could hold it now."""

    def look() -> bool:
        with advisory_lock(database, name) as held:
            return held

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(closing(database, look)).result(5)


def test_a_name_is_held_by_one_at_a_time_and_free_afterwards(order_database: Database) -> None:
    with advisory_lock(order_database, "first") as held:
        assert held
        assert not is_free(order_database, "first")
        assert is_free(order_database, "second")

    assert is_free(order_database, "first")


def test_a_name_is_held_over_transactions_and_through_what_is_raised(order_database: Database) -> None:
    try:
        with advisory_lock(order_database, "first"):
            with order_database.transaction():
                assert not is_free(order_database, "first")
            assert not is_free(order_database, "first")
            raise ValueError
    except ValueError:
        pass

    assert is_free(order_database, "first")


def test_a_holder_that_dies_has_let_go(order_database: Database) -> None:
    with advisory_lock(order_database, "first"):
        order_database.close()

        assert is_free(order_database, "first")
