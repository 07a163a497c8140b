"""What people see of an outbox, and the one thing that they do to it: have parked rows sent again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from servicekit.database import Database, Statement
from servicekit.outbox.schema import CHANNEL

EXISTS = Statement("SELECT to_regclass('outbox') IS NOT NULL AS here")
COUNT = Statement("""
    SELECT count(*) FILTER (WHERE parked_at IS NOT NULL) AS parked, count(*) FILTER (WHERE parked_at IS NULL) AS waiting
    FROM outbox
""")
# What is parked comes first, or those that wait behind it could crowd it out.
ROWS = Statement("""
    SELECT id, topic, key, version, attempts, error, parked_at,
        extract(epoch FROM app_now() - created_at)::float8 AS age,
        CASE WHEN parked_at IS NULL THEN extract(epoch FROM next_attempt_at - app_now())::float8 ELSE 0 END AS rests,
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
    """A row: `age` and `rests` (until the next attempt) in seconds, `behind` the id of the first row of its key."""

    id: int
    topic: str
    key: str
    version: int
    attempts: int
    error: str
    parked_at: datetime | None
    age: float
    rests: float
    behind: int | None


@dataclass(frozen=True, slots=True)
class Contents:
    """How many rows are parked and how many wait, and the first of them."""

    parked: int
    waiting: int
    items: list[Item]


def contents(database: Database, limit: int) -> Contents | None:
    """What the outbox holds, with `limit` rows at most; None for a database without an outbox."""
    with database.transaction():
        if not _has_outbox(database):
            return None
        counted = database.fetch_one(COUNT)
        assert counted is not None
        rows = database.fetch_all(ROWS, limit)
    return Contents(counted["parked"], counted["waiting"], [Item(**row) for row in rows])


def is_parked(database: Database, row_id: int) -> bool:
    """Whether there is an outbox with such a row, and it is parked."""
    return _has_outbox(database) and database.fetch_one(IS_PARKED, row_id) is not None


def resend(database: Database, row_id: int | None = None) -> list[int]:
    """Has a parked row sent again as if it were new, or all of them; the ids of those that were parked."""
    if not _has_outbox(database):
        return []
    with database.transaction():
        sent = [row["id"] for row in database.fetch_all(RESEND, row_id)]
        database.fetch_all(NOTIFY, CHANNEL)
    return sorted(sent)


def _has_outbox(database: Database) -> bool:
    found = database.fetch_one(EXISTS)
    return found is not None and bool(found["here"])
