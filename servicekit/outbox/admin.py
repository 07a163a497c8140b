"""Reading an outbox, and sending its parked rows again, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from servicekit.database import Database, Statement
from servicekit.outbox.schema import CHANNEL

EXISTS = Statement("SELECT to_regclass('outbox') IS NOT NULL AS has_outbox")
COUNT = Statement("""
    SELECT count(*) FILTER (WHERE parked_at IS NOT NULL) AS parked, count(*) FILTER (WHERE parked_at IS NULL) AS waiting
    FROM outbox
""")
# Parked rows come first: the rows that wait behind them could fill the whole page.
ROWS = Statement("""
    SELECT id, topic, key, version, attempts, error, parked_at,
        extract(epoch FROM app_now() - created_at)::float8 AS age,
        CASE WHEN parked_at IS NULL THEN extract(epoch FROM next_attempt_at - app_now())::float8 ELSE 0 END
            AS wait_seconds,
        (
            SELECT min(older.id) FROM outbox AS older
            WHERE older.topic = item.topic AND older.key = item.key AND older.id < item.id
        ) AS behind
    FROM outbox AS item ORDER BY parked_at IS NULL, id LIMIT $1
""")
IS_PARKED = Statement("SELECT id FROM outbox WHERE id = $1 AND parked_at IS NOT NULL")
RESEND = Statement("""
    UPDATE outbox SET parked_at = NULL, attempts = 0, refusals = 0, error = '', next_attempt_at = app_now()
    WHERE parked_at IS NOT NULL AND ($1::bigint IS NULL OR id = $1) RETURNING id
""")
NOTIFY = Statement("SELECT pg_notify($1, '')")


@dataclass(frozen=True, slots=True)
class Item:
    """A row. `age` and `wait_seconds` (to its next delivery) are seconds, `behind` the id of its key's first row."""

    id: int
    topic: str
    key: str
    version: int
    attempts: int
    error: str
    parked_at: datetime | None
    age: float
    wait_seconds: float
    behind: int | None


@dataclass(frozen=True, slots=True)
class Contents:
    """An outbox: the numbers of parked and of waiting rows, and the first of these rows."""

    parked: int
    waiting: int
    items: list[Item]


def contents(database: Database, limit: int) -> Contents | None:
    """Read the outbox, with `limit` rows at most. Returns None for a database without an outbox."""
    with database.transaction():
        if not _has_outbox(database):
            return None
        counts = database.fetch_one(COUNT)
        assert counts is not None
        rows = database.fetch_all(ROWS, limit)
    return Contents(counts["parked"], counts["waiting"], [Item(**row) for row in rows])


def is_parked(database: Database, row_id: int) -> bool:
    """Return whether there is an outbox with this row, and the row is parked."""
    return _has_outbox(database) and database.fetch_one(IS_PARKED, row_id) is not None


def resend(database: Database, row_id: int | None = None) -> list[int]:
    """Make a parked row, or all of them, due again as if new. Returns the ids of the rows that were parked."""
    if not _has_outbox(database):
        return []
    with database.transaction():
        ids = [row["id"] for row in database.fetch_all(RESEND, row_id)]
        database.fetch_all(NOTIFY, CHANNEL)
    return sorted(ids)


def _has_outbox(database: Database) -> bool:
    row = database.fetch_one(EXISTS)
    return row is not None and bool(row["has_outbox"])
