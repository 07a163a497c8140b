"""Offers, in PostgreSQL."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from order_service.domain.offer import Offer, OfferStatus
from servicekit.database import Database, Row, Statement, placeholders
from servicekit.errors import NotFound

# By name, not `*`: a prepared statement must not notice a column that a newer version adds.
NAMES = [field.name for field in fields(Offer)]
COLUMNS = ", ".join(NAMES)
_values = attrgetter(*NAMES)
ADD = Statement(f"INSERT INTO offers ({COLUMNS}) VALUES ({placeholders(len(NAMES))})")
ONE = Statement(f"SELECT {COLUMNS}, app_now() AS now FROM offers WHERE id = $1")
# The time is read after the wait for the lock.
LOCK = Statement(f"""
    WITH locked AS (SELECT {COLUMNS} FROM offers WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked
""")
COUNT_OPEN = Statement("""
    SELECT count(*) AS count FROM offers WHERE conversation_id = $1 AND status = 'OPEN' AND expires_at > app_now()
""")
CLOSE = Statement("UPDATE offers SET status = $2, order_id = $3 WHERE id = $1")
# The one that has waited longest after the one at ($1, $2). Those with an attempt that may still place an order wait
# for its end; the caller looks again, once the offer is locked.
NEXT_EXPIRED = Statement(f"""
    WITH locked AS (
        SELECT {COLUMNS} FROM offers
        WHERE status = 'OPEN' AND expires_at <= app_now() AND (expires_at, id) > ($1::timestamptz, $2::uuid)
        ORDER BY expires_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    SELECT *, app_now() AS now FROM locked
""")


class OfferReading(NamedTuple):
    """An offer and the time at which it was read (aware, UTC)."""

    offer: Offer
    now: datetime


class Offers:
    """The offers. Those of one conversation are made under its row lock, and closed under their own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, offer: Offer) -> None:
        """Store a new offer."""
        self._database.write(ADD, *_values(offer))

    def get(self, offer_id: UUID) -> OfferReading:
        """Return the offer. Raises NotFound("Offer")."""
        return _required(self._database.fetch_one(ONE, offer_id))

    def lock(self, offer_id: UUID) -> OfferReading:
        """Return the offer, locked until the end of the transaction. Raises NotFound("Offer")."""
        return _required(self._database.fetch_one(LOCK, offer_id))

    def lock_next_expired(self, after: tuple[datetime, UUID]) -> OfferReading | None:
        """Return the offer whose time has been over for longest, of those after this place; locked.

        Offers that somebody else has locked are left to them.
        """
        row = self._database.fetch_one(NEXT_EXPIRED, *after)
        return to_reading(row) if row else None

    def count_open(self, conversation_id: UUID) -> int:
        """Return the number of open offers of a conversation that this transaction has locked."""
        return int(self._database.fetch_all(COUNT_OPEN, conversation_id)[0]["count"])

    def close(self, offer: Offer) -> None:
        """Store the final status of an offer that this transaction has locked."""
        self._database.write(CLOSE, offer.id, offer.status, offer.order_id)


def _required(row: Row | None) -> OfferReading:
    if row is None:
        raise NotFound("Offer")
    return to_reading(row)


def to_reading(row: Row) -> OfferReading:
    """Return the offer of a row of COLUMNS and `now`, as it is stored."""
    now = row.pop("now")
    return OfferReading(Offer(**{**row, "status": OfferStatus(row["status"])}), now)
