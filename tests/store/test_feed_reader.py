"""Positions in the feed, given by several processes at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from order_service.store.feed_reader import BATCH, OF_USER, TAIL, FeedReader
from order_service.store.store import Store
from servicekit.database import Database, Statement
from tests.support.orders import a_placing, store_placing
from tests.support.postgres import url_of

POSITIONS = Statement("SELECT sequence, position FROM events ORDER BY sequence")


@pytest.fixture
def other(order_database: Database) -> Iterator[Database]:
    """Return another process's connection to the same database."""
    database = Database(url_of(order_database))
    yield database
    database.close()


def write(database: Database, count: int) -> None:
    """Commit so many events of payouts."""
    database.execute(
        """
        INSERT INTO events (id, at, type, payout_id, seller_id, subject)
        SELECT gen_random_uuid(), now(), 'payout.paid', gen_random_uuid(), %s, '{}' FROM generate_series(1, %s)
        """,
        (UUID(int=1), count),
    )


def positions(database: Database) -> dict[int, int | None]:
    return {row["sequence"]: row["position"] for row in database.fetch_all(POSITIONS)}


def test_who_numbers_waits_for_the_one_who_is_at_it_and_changes_nothing_of_theirs(
    order_database: Database, other: Database
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with order_database.transaction():
            with other.transaction():
                # Written first, committed last: the second to number sees it before the others.
                write(other, 1)
                pool.submit(write, order_database, 2).result()
                FeedReader(order_database).number()
                assert list(positions(order_database).values()) == [1, 2]
            second = pool.submit(FeedReader(other).number)
            with pytest.raises(TimeoutError):
                second.result(0.5)
        second.result(10)
        for database in (order_database, other):
            pool.submit(database.close).result()

    assert list(positions(other).values()) == [3, 1, 2]


def test_more_events_than_one_transaction_numbers_are_numbered_all(order_database: Database) -> None:
    write(order_database, 2 * BATCH + 1)

    FeedReader(order_database).number()

    assert list(positions(order_database).values()) == list(range(1, 2 * BATCH + 2))


def test_a_row_that_is_not_committed_has_no_position_and_leaves_no_gap(
    order_database: Database, other: Database
) -> None:
    with other.transaction():
        write(other, 1)
        write(order_database, 1)
        FeedReader(order_database).number()
        assert list(positions(order_database).values()) == [1]
    write(order_database, 1)
    FeedReader(order_database).number()

    # In the order of the writing among those that are new, after those that were there.
    assert list(positions(order_database).values()) == [2, 1, 3]


@pytest.mark.parametrize("read", [TAIL, OF_USER])
def test_news_are_looked_up_in_the_history_and_among_messages_and_do_not_read_all(
    order_database: Database, read: Statement
) -> None:
    order = store_placing(Store(order_database), a_placing)
    # Enough that a plain join reads the whole history for the few news of a moment.
    order_database.execute("""
        INSERT INTO order_events (order_id, version, at, by, action, went_to, message)
        SELECT order_id, number, at, by, action, went_to, '' FROM order_events, generate_series(2, 5000) AS number
    """)
    order_database.execute(
        """
        INSERT INTO events (id, position, at, type, order_id, version, buyer_id, seller_id, subject)
        SELECT gen_random_uuid(), version, at, 'order.placed', order_id, version, gen_random_uuid(), %s, '{}'
        FROM order_events
        """,
        (order.seller_id,),
    )
    order_database.execute(
        """
        WITH talk AS (
            INSERT INTO conversations (id, starter_id, owner_id, gig_id, created_at, last_number, last_at,
                starter_wrote, owner_wrote)
            VALUES (gen_random_uuid(), gen_random_uuid(), %(seller)s, gen_random_uuid(), now(), 5000, now(), 5000, 0)
            RETURNING id, starter_id, owner_id
        ), message AS (
            INSERT INTO messages (id, conversation_id, number, from_id, text, at, starter_wrote, owner_wrote)
            SELECT gen_random_uuid(), talk.id, number, starter_id, 'Hello', now(), number, 0
            FROM talk, generate_series(1, 5000) AS number RETURNING id, number
        ), file AS (
            INSERT INTO files (id, owner_id, key, name, size, type, status, created_at)
            SELECT message.id, starter_id, message.id, 'a.txt', 1, 'text/plain', 'READY', now() FROM talk, message
            RETURNING id
        ), sent AS (
            INSERT INTO message_files (message_id, position, file_id) SELECT id, 1, id FROM file
        )
        INSERT INTO events (id, position, at, type, conversation_id, message_id, buyer_id, seller_id)
        SELECT gen_random_uuid(), 5000 + number, now(), 'message.sent', talk.id, message.id, starter_id, owner_id
        FROM talk, message
        """,
        {"seller": order.seller_id},
    )
    order_database.execute(
        """
        INSERT INTO delivery_files (order_id, version, position, file_id)
        SELECT %s, messages.number, 1, files.id FROM files JOIN messages ON messages.id = files.id
        """,
        (order.id,),
    )
    order_database.execute("ANALYZE; SET plan_cache_mode = force_generic_plan")
    arguments = ["9990"] if read is TAIL else [f"'{order.seller_id}'", "9990"]

    with order_database.peewee.connection().cursor() as cursor:
        cursor.execute(f"PREPARE news AS {read.sql}")
        cursor.execute(f"EXPLAIN EXECUTE news ({', '.join(arguments)})")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    # The table of people is empty, and may be read in any way.
    assert "Seq Scan" not in plan.replace("Seq Scan on people", ""), plan
