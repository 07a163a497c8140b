"""Calls to the payment provider that were begun, and whose outcome is not known yet."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from psycopg2.extras import Json

from servicekit.database import Database, Statement

BEGIN = Statement("""
    INSERT INTO attempts (order_id, kind, data, created_at, next_try_at)
    SELECT $1, $2, $3::jsonb, now, now FROM app_now() AS now
""")
GET = Statement("SELECT order_id, kind, data, created_at, tries FROM attempts WHERE order_id = $1")
DUE = Statement("""
    SELECT order_id, kind, data, created_at, tries FROM attempts
    WHERE next_try_at <= app_now() ORDER BY next_try_at, order_id LIMIT $1
""")
WAITING = Statement("SELECT kind, count(*) AS number FROM attempts GROUP BY kind")
END = Statement("DELETE FROM attempts WHERE order_id = $1 RETURNING order_id")
PUT_OFF = Statement("""
    UPDATE attempts SET tries = tries + 1, next_try_at = app_now() + $2::interval WHERE order_id = $1
""")


class Kind(StrEnum):
    """What the payment provider was asked."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call that was begun for an order. `data` is all that is needed to finish it; `tries` of the worker failed."""

    order_id: UUID
    kind: Kind
    data: Any
    created_at: datetime
    tries: int


class Attempts:
    """At most one an order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, order_id: UUID, kind: Kind, data: object) -> None:
        """Remembers a call that is about to be made; `data` is what JSON can hold. Committed before the call."""
        self._database.fetch_all(BEGIN, order_id, kind, Json(data))

    def get(self, order_id: UUID) -> Attempt | None:
        """The call that is under way for this order, or was when its worker died."""
        row = self._database.fetch_one(GET, order_id)
        return Attempt(**{**row, "kind": Kind(row["kind"])}) if row else None

    def due(self, limit: int) -> list[Attempt]:
        """Those that it is time to look after, the longest overdue first."""
        return [Attempt(**{**row, "kind": Kind(row["kind"])}) for row in self._database.fetch_all(DUE, limit)]

    def waiting(self) -> dict[Kind, int]:
        """How many of each kind there are."""
        return {Kind(row["kind"]): row["number"] for row in self._database.fetch_all(WAITING)}

    def end(self, order_id: UUID) -> bool:
        """Forgets a call, in the transaction of its outcome. Whether nobody had done so before."""
        return bool(self._database.fetch_all(END, order_id))

    def put_off(self, order_id: UUID, by: timedelta) -> None:
        """Nobody knows the outcome yet: the next try is not before this time has passed."""
        self._database.fetch_all(PUT_OFF, order_id, by)
