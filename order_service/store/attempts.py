"""Attempts: calls to the payment provider that were begun, and whose outcome is not known yet."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from psycopg2.extras import Json
from pydantic import TypeAdapter

from order_service.domain.placing import Draft
from servicekit.database import Database, Row, Statement

BEGIN = Statement("""
    INSERT INTO attempts (order_id, kind, data, created_at, next_try_at)
    SELECT $1, $2, $3::jsonb, now, now FROM app_now() AS now
""")
GET = Statement("SELECT order_id, kind, data, created_at, tries FROM attempts WHERE order_id = $1")
DUE = Statement("""
    SELECT order_id, kind, data, created_at, tries FROM attempts
    WHERE next_try_at <= app_now() ORDER BY next_try_at, order_id LIMIT $1
""")
COUNTS = Statement("SELECT kind, count(*) AS number FROM attempts GROUP BY kind")
END = Statement("DELETE FROM attempts WHERE order_id = $1 RETURNING order_id")
POSTPONE = Statement("""
    UPDATE attempts SET tries = tries + 1, next_try_at = app_now() + $2::interval WHERE order_id = $1
""")

DRAFT = TypeAdapter(Draft)
# The names of a draft's parts in the database, which a worker of an older version has written.
STORED_NAMES = {"terms": "offer", "request": "wish"}


class Kind(StrEnum):
    """The call to the payment provider."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call that was begun for an order. `tries` is how often payment recovery failed to finish it.

    `draft` is set for AUTHORIZE, and `message`, the seller's, for CAPTURE.
    """

    order_id: UUID
    kind: Kind
    created_at: datetime
    tries: int
    draft: Draft | None = None
    message: str = ""


class Attempts:
    """The attempts; an order has at most one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_authorization(self, draft: Draft) -> None:
        """Store the attempt to authorize a draft's payment. It is committed before the call."""
        data = DRAFT.dump_python(draft, mode="json")
        self._begin(draft.order_id, Kind.AUTHORIZE, {STORED_NAMES.get(name, name): data[name] for name in data})

    def begin_capture(self, order_id: UUID, message: str) -> None:
        """Store the attempt to capture an order's payment. It is committed before the call."""
        self._begin(order_id, Kind.CAPTURE, {"message": message})

    def get(self, order_id: UUID) -> Attempt | None:
        """Return the order's attempt, if it has one."""
        row = self._database.fetch_one(GET, order_id)
        return _to_attempt(row) if row else None

    def due(self, limit: int) -> list[Attempt]:
        """Return the attempts that payment recovery should try now, the longest overdue first."""
        return [_to_attempt(row) for row in self._database.fetch_all(DUE, limit)]

    def counts(self) -> dict[Kind, int]:
        """Return the number of attempts of each kind."""
        return {Kind(row["kind"]): row["number"] for row in self._database.fetch_all(COUNTS)}

    def end(self, order_id: UUID) -> bool:
        """Remove an attempt, in the transaction of its outcome. Return whether it was still there."""
        return bool(self._database.fetch_all(END, order_id))

    def postpone(self, order_id: UUID, by: timedelta) -> None:
        """Count a try whose outcome is unknown; the next try is after this time."""
        self._database.fetch_all(POSTPONE, order_id, by)

    def _begin(self, order_id: UUID, kind: Kind, data: dict[str, Any]) -> None:
        self._database.fetch_all(BEGIN, order_id, kind, Json(data))


def _to_attempt(row: Row) -> Attempt:
    attempt = Attempt(row["order_id"], Kind(row["kind"]), row["created_at"], row["tries"])
    data = row["data"]
    if attempt.kind is Kind.CAPTURE:
        return Attempt(attempt.order_id, attempt.kind, attempt.created_at, attempt.tries, message=data["message"])
    data = {**data, **{name: data[stored] for name, stored in STORED_NAMES.items()}}
    draft = DRAFT.validate_python(data)
    return Attempt(attempt.order_id, attempt.kind, attempt.created_at, attempt.tries, draft=draft)
