"""The feed in its order, and the news for those who watch, from PostgreSQL.

Transactions commit in another order than they write. So an event gets its position after its commit, in a transaction
that is the only one to give positions at that time: whoever has read a position has read all smaller ones, or could
have. See docs/adr/0025-the-order-of-the-feed.md.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from order_service.domain.conversation import Message
from order_service.domain.feed import HistoryRow, News, NumberedEvent, PositionedEvent, ReadMark
from order_service.domain.offer import Offer
from order_service.store.feed import OFFER, READ_MARK, SUBJECT, to_feed_event
from order_service.store.message_rows import message_json, to_message
from order_service.store.orders import EVENT_READING, to_event
from servicekit.database import Database, Row, Statement

# The channel of the trigger in migrations 0013 and 0025.
CHANNEL = "events"
# The most events that one transaction numbers.
BATCH = 1000
# The most news that one statement reads.
ROWS = 500

# The oldest transaction that runs is by the same snapshot: what older ones have written is seen.
HAS_NEW = Statement("""
    SELECT EXISTS (SELECT FROM events WHERE position IS NULL) AS has_new,
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest
""")
# The lock of followers that sleep, from migration 0025. Who has it asks for a transaction of its own, which is newer
# than all that may have found nobody asleep. A snapshot's xmax may be older than those.
_SLEEPERS = "hashtextextended('sleeping followers of the feed', 0)"
SLEEP = Statement(f"SELECT pg_advisory_lock_shared({_SLEEPERS})")
OWN_TRANSACTION = Statement("SELECT pg_current_xact_id()::text::bigint AS id")
WAKE = Statement(f"SELECT pg_advisory_unlock_shared({_SLEEPERS})")
# A statement of its own, though it is sent with the next one: that one's snapshot is taken when the lock is there, so
# it sees what the one before wrote.
LOCK = Statement("SELECT pg_advisory_xact_lock(hashtextextended('positions of events', 0))")
NUMBER = Statement("""
    WITH new AS (
        SELECT sequence, row_number() OVER (ORDER BY sequence) AS number
        FROM (SELECT sequence FROM events WHERE position IS NULL ORDER BY sequence LIMIT $1) AS first
    )
    UPDATE events SET position = (SELECT coalesce(max(position), 0) FROM events) + new.number
    FROM new WHERE events.sequence = new.sequence
    RETURNING events.sequence
""")
NEWEST = Statement("SELECT coalesce(max(position), 0) AS position FROM events")
PAGE = Statement(f"""
    SELECT position, id, at, type, {SUBJECT}
    FROM events WHERE position > $1 AND NOT is_internal ORDER BY position LIMIT (SELECT $2::integer)
""")
# Whether the event after a position is older than this.
IS_OLD = Statement("""
    SELECT at < app_now() - $2::interval AS is_old FROM events WHERE position > $1 ORDER BY position LIMIT 1
""")
_COLUMNS = """
    position, order_id, version, message_id, offer_id, buyer_id, seller_id, reader_id, is_internal,
    CASE WHEN conversation_id IS NOT NULL THEN subject END AS subject
"""


def _news(events: str) -> Statement:
    """Return the statement for these events, at most ROWS, with their rows of the history and their messages.

    LIMIT 1 makes the planner look each row up. As a plain join it expects ROWS events and reads the whole history,
    though most often there are a few.
    """
    return Statement(f"""
        SELECT events.*, {message_json("events.message_id")} AS sent, history.*
        FROM ({events} ORDER BY position LIMIT {ROWS}) AS events
        LEFT JOIN LATERAL (
            SELECT {EVENT_READING} FROM order_events
            WHERE order_events.order_id = events.order_id AND order_events.version = events.version LIMIT 1
        ) AS history ON true
        ORDER BY position
    """)


def _of_side(side: str) -> str:
    """Return the events of which $1 is the `side` and that a watch tells, by position: a range of one index."""
    return f"""(
        SELECT {_COLUMNS} FROM events WHERE {side} = $1 AND position > $2
            AND payout_id IS NULL AND (reader_id IS NULL OR reader_id = $1)
        ORDER BY position LIMIT {ROWS}
    )"""


TAIL = _news(f"SELECT {_COLUMNS} FROM events WHERE position > $1")
# Nobody is both sides of an order or a conversation.
OF_USER = _news(f"{_of_side('buyer_id')} UNION ALL {_of_side('seller_id')}")
HISTORY_AFTER = Statement(f"""
    SELECT order_id, version, {EVENT_READING} FROM order_events
    WHERE order_id = $1 AND version > $2 ORDER BY version
""")


class FeedReader:
    """The events of the feed in their order, and the news for those who watch."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def number(self) -> int:
        """Give positions to all events that were committed before this call. Any number of processes may do so.

        Returns the id of the oldest transaction that was still running.
        """
        row = self._database.fetch_one(HAS_NEW)
        assert row is not None
        oldest: int = row["oldest"]
        is_full = row["has_new"]
        while is_full:
            with self._database.transaction():
                self._database.write(LOCK)
                is_full = len(self._database.fetch_all(NUMBER, BATCH)) == BATCH
        return oldest

    def begin_sleep(self) -> int:
        """Have events notify from now on, as long as this thread's connection lasts, or until `end_sleep`.

        Returns the id of a transaction that is over. Older ones may have written an event before, and commit it without
        a notification.
        """
        self._database.fetch_all(SLEEP)
        row = self._database.fetch_one(OWN_TRANSACTION)
        assert row is not None
        own: int = row["id"]
        return own

    def end_sleep(self) -> None:
        """Have events notify no more, unless another follower sleeps."""
        self._database.fetch_all(WAKE)

    def newest(self) -> int:
        """Return the position of the newest event that has one; 0 without any."""
        row = self._database.fetch_one(NEWEST)
        assert row is not None
        position: int = row["position"]
        return position

    def page(self, after: int, limit: int) -> list[PositionedEvent]:
        """Return the first events after this position, without internal ones."""
        return [
            PositionedEvent(row["position"], to_feed_event(row)) for row in self._database.fetch_all(PAGE, after, limit)
        ]

    def is_older(self, position: int, age: timedelta) -> bool:
        """Return whether the next event after this position is older than `age`."""
        row = self._database.fetch_one(IS_OLD, position, age)
        return row is not None and bool(row["is_old"])

    def tail(self, after: int) -> list[NumberedEvent]:
        """Return the first ROWS events after this position, as those who follow the feed learn of them."""
        return [_to_numbered(row) for row in self._database.fetch_all(TAIL, after)]

    def of_user(self, user_id: UUID, after: int) -> list[News]:
        """Return the first ROWS news after this position of a user's orders, conversations and offers."""
        return [_to_news(row) for row in self._database.fetch_all(OF_USER, user_id, after)]

    def of_order(self, order_id: UUID, after: int) -> list[News]:
        """Return the history of an order after this version, oldest first; also of an order from before the feed."""
        return [News(0, _to_history_row(row)) for row in self._database.fetch_all(HISTORY_AFTER, order_id, after)]


def _to_numbered(row: Row) -> NumberedEvent:
    if row["reader_id"] is not None:
        people = (row["reader_id"],)
    else:
        people = tuple(side for side in (row["buyer_id"], row["seller_id"]) if side is not None)
    return NumberedEvent(
        row["position"], people, _to_news(row) if row["buyer_id"] else None, is_internal=row["is_internal"]
    )


def _to_news(row: Row) -> News:
    return News(row["position"], _to_subject(row))


def _to_subject(row: Row) -> HistoryRow | Message | Offer | ReadMark:
    if row["order_id"] is not None:
        return _to_history_row(row)
    if row["reader_id"] is not None:
        return READ_MARK.validate_python(row["subject"])
    if row["offer_id"] is not None:
        return OFFER.validate_python(row["subject"])
    return to_message(row["sent"])


def _to_history_row(row: Row) -> HistoryRow:
    return HistoryRow(row["order_id"], row["version"], to_event(row))
