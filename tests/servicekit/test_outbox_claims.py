"""Claims find due rows in a few steps, whatever waits in the outbox and whatever the planner knows of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from servicekit.database import Database, Row, Statement
from servicekit.outbox import Relay, Topic
from servicekit.outbox.rows import (
    CLAIM,
    DELETE,
    DROP_OLDER,
    HOLD_FIRST,
    MAX_PAGES,
    NEWEST,
    NEXT,
    PARK,
    PUT_BEHIND,
    RETRY,
    Rows,
)
from tests.support.eventually import eventually
from tests.support.locks import wait_for_a_lock_waiter
from tests.support.outbox import Receiver, relays, rows, write
from tests.support.postgres import url_of

FILL = """
    INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at)
    SELECT 'news', 'k' || n %% %s, n, '{}', app_now(), app_now() FROM generate_series(1, 20000) AS n
"""
BEHIND = Statement("SELECT key, version FROM outbox WHERE is_behind ORDER BY id")
IDS = Statement("SELECT id FROM outbox ORDER BY id")

PLANNED = Statement("""
    SELECT sum(generic_plans)::int AS generic, max(custom_plans) >= 12 AS is_used FROM pg_prepared_statements
    WHERE parameter_types <> '{}'
""")
# The parameters of a statement, and the indexes that it may use.
PLANS = {
    NEXT: ("'news', '-infinity', 0, '{}', 50", {"outbox_ready", "outbox_key"}),
    CLAIM: ("'{19000,19001,19002}'", {"outbox_pkey", "outbox_key"}),
    HOLD_FIRST: ("'{19000,19001,19002}'", {"outbox_pkey"}),
    PUT_BEHIND: ("'{19000,19001,19002}'", {"outbox_pkey"}),
    NEWEST: ("'news', 'k1'", {"outbox_key"}),
    DROP_OLDER: ("'news', 'k1', 19001", {"outbox_key"}),
    DELETE: ("19001", {"outbox_pkey"}),
    RETRY: ("19001, 0, 0, '', '1 s'", {"outbox_pkey"}),
    PARK: ("19001, 0, 0, ''", {"outbox_pkey"}),
}


@pytest.fixture
def database(review_database: Database) -> Database:
    return review_database


@pytest.fixture
def other(database: Database) -> Iterator[Any]:
    """Yield another connection, in a transaction."""
    connection = psycopg2.connect(url_of(database))
    yield connection
    connection.close()


class CountingDatabase(Database):
    """A database that counts the rows that claims look at."""

    seen = 0

    def fetch_all(self, statement: Statement, *params: object) -> list[Row]:
        found = super().fetch_all(statement, *params)
        if statement is NEXT:
            self.seen += len(found)
        return found


def explain(database: Database, statement: Statement, parameters: str) -> str:
    """Return the plan of a statement on this connection."""
    with database.transaction():
        database.execute(f"PREPARE {statement.name} AS {statement.sql}")
        rows = database.peewee.execute_sql(f"EXPLAIN (COSTS OFF) EXECUTE {statement.name} ({parameters})")
        database.execute(f"DEALLOCATE {statement.name}")
        return "\n".join(line for (line,) in rows)


def behind(database: Database) -> list[tuple[str, int]]:
    """Return the rows that are marked as waiting behind others, oldest first."""
    return [(row["key"], row["version"]) for row in database.fetch_all(BEHIND)]


def claim_all(claiming: Rows, newest_only: bool = False) -> list[tuple[str, int]]:
    """Claim everything that can be, and release it again."""
    claims, _ = claiming.claim("news", 100, (), newest_only=newest_only)
    claiming.release(claims)
    return [(claim.key, claim.version) for claim in claims]


@pytest.mark.parametrize("keys", [2, 20000])
@pytest.mark.parametrize("analyzed", ["never", "while empty", "when full"])
def test_each_statement_has_a_short_plan_in_an_outbox_that_fills_at_once(
    database: Database, analyzed: str, keys: int
) -> None:
    if analyzed == "while empty":
        database.execute("VACUUM ANALYZE outbox")
    database.execute(FILL, (keys,))
    if analyzed == "when full":
        database.execute("ANALYZE outbox")
    Rows(database).prepare(())

    for statement, (parameters, indexes) in PLANS.items():
        plan = explain(database, statement, parameters)

        assert set(re.findall(r"using (\w+)", plan)) == indexes, plan
        assert not re.search("Seq Scan on|Sort|Bitmap", plan), plan


def test_a_relays_connection_keeps_no_plan(database: Database) -> None:
    claiming = Rows(database)
    claiming.prepare(())
    write(database, ("a", 1))

    for _ in range(12):
        claim_all(claiming)

    assert database.fetch_all(PLANNED) == [{"generic": 0, "is_used": True}]


def test_a_long_key_is_walked_over_once(database: Database) -> None:
    counting = CountingDatabase(url_of(database))
    write(database, *(("long", version) for version in range(1, 301)), ("b", 1))
    claiming = Rows(counting)

    assert claim_all(claiming) == [("long", 1), ("b", 1)]
    assert counting.seen == 301
    counting.seen = 0
    assert claim_all(claiming) == [("long", 1), ("b", 1)]
    assert counting.seen == 2
    counting.close()


def test_a_claim_looks_at_a_bounded_number_of_rows_and_the_next_one_at_later_rows(database: Database) -> None:
    counting = CountingDatabase(url_of(database))
    write(database, *(("long", version) for version in range(1, 2001)), ("b", 1))
    claiming = Rows(counting)

    assert claim_all(claiming) == [("long", 1)]
    assert counting.seen < 2000
    eventually(lambda: claim_all(claiming) == [("long", 1), ("b", 1)])
    counting.close()


def test_rows_behind_a_long_key_are_delivered_at_once_although_it_is_marked_only_then(database: Database) -> None:
    receiver = Receiver()
    receiver.fails = lambda message: ValueError("no") if message.key == "long" else None
    write(database, *(("long", version) for version in range(1, 50 * 2**MAX_PAGES)), ("b", 1))

    with relays(database, Topic(receiver)):
        eventually(lambda: receiver.got == [("b", 1)])


def test_a_row_that_waited_behind_another_is_next_when_that_is_delivered(database: Database) -> None:
    receiver = Receiver()
    relay = Relay(database, {"news": Topic(receiver)})
    write(database, ("a", 1), ("a", 2), ("a", 3))

    assert relay.deliver_one()
    assert behind(database) == [("a", 3)]
    while relay.deliver_one():
        pass

    assert receiver.got == [("a", 1), ("a", 2), ("a", 3)]


def test_a_row_that_waited_behind_another_is_next_when_a_person_deletes_that(database: Database) -> None:
    write(database, ("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2))
    claiming = Rows(database)
    claim_all(claiming)
    assert behind(database) == [("a", 2), ("a", 3), ("b", 2)]

    database.execute("DELETE FROM outbox WHERE version = 1")

    assert behind(database) == [("a", 3)]
    assert claim_all(claiming) == [("a", 2), ("b", 2)]


def test_where_a_row_tells_all_the_newest_is_the_next_although_it_waited_behind_others(database: Database) -> None:
    write(database, ("a", 1), ("a", 2), ("a", 3))
    claiming = Rows(database)
    claim_all(claiming)

    assert claim_all(claiming, newest_only=True) == [("a", 3)]

    assert behind(database) == []
    assert [row["version"] for row in rows(database)] == [3]


def test_a_row_is_not_marked_to_wait_behind_one_that_is_being_deleted(database: Database, other: Any) -> None:
    write(database, ("a", 1), ("a", 2))
    claiming = Rows(database)
    with other.cursor() as cursor:
        cursor.execute("DELETE FROM outbox WHERE version = 1")

    claim_all(claiming)
    assert behind(database) == []
    other.commit()

    assert claim_all(claiming) == [("a", 2)]


def test_a_deletion_waits_for_a_mark_that_is_not_yet_committed_and_then_clears_it(
    database: Database, other: Any
) -> None:
    write(database, ("a", 1), ("a", 2))
    first, second = [row["id"] for row in database.fetch_all(IDS)]

    def delete() -> None:
        with other.cursor() as cursor:
            cursor.execute("DELETE FROM outbox WHERE id = %s", (first,))
        other.commit()

    deletion = threading.Thread(target=delete)
    with database.transaction():
        database.fetch_all(HOLD_FIRST, [first])
        deletion.start()
        wait_for_a_lock_waiter(database)
        database.fetch_all(PUT_BEHIND, [second])
    deletion.join()

    assert behind(database) == []
    assert claim_all(Rows(database)) == [("a", 2)]


def test_a_row_that_changed_before_its_key_was_locked_is_not_claimed(database: Database, other: Any) -> None:
    write(database, ("a", 1))
    claiming = Rows(database)
    with other.cursor() as cursor:
        cursor.execute("SELECT FROM outbox FOR UPDATE")

        claims, next_seconds = claiming.claim("news", 1, (), newest_only=False)

    assert claims == []
    assert next_seconds is not None
    other.rollback()
    assert claim_all(claiming) == [("a", 1)]
