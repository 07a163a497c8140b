"""Payouts and their destinations, in PostgreSQL."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from order_service.domain.payout import Payout, Status
from servicekit.database import Database, Row, Statement, placeholders
from servicekit.outbox import Outbox

# The outbox topic of payouts to make; its key is the payout's id, its payload empty.
PAYOUTS = "payout"


# By name, not `*`: a prepared statement must not notice a column that a newer version adds.
NAMES = [field.name for field in fields(Payout)]
COLUMNS = ", ".join(NAMES)
_values = attrgetter(*NAMES)
ADD = Statement(f"""
    INSERT INTO payouts ({COLUMNS}, updated_at) VALUES ({placeholders(len(NAMES) + 1)})
""")
READING = f"""
    SELECT {COLUMNS}, EXISTS (SELECT FROM payout_holds WHERE payout_holds.seller_id = payouts.seller_id) AS is_held
    FROM payouts
"""
ONE = Statement(f"{READING} WHERE id = $1")
LOCKED = Statement(f"SELECT {COLUMNS} FROM payouts WHERE id = $1 FOR UPDATE")


def _page(whose: str) -> Statement:
    """Return the statement for a page of payouts older than the one at ($2, $3), newest first, $4 at most.

    The limit is hidden from the planner, for the reason that store/order_lists.py gives.
    """
    return Statement(f"""
        {READING} WHERE {whose} AND (created_at, id) < ($2::timestamptz, $3::uuid)
        ORDER BY created_at DESC, id DESC LIMIT (SELECT $4::integer)
    """)


OWN = _page("seller_id = $1::uuid")
# $1 has no meaning there, but both take the same parameters.
EVERYONE = _page("$1::uuid IS NULL")
OUTCOME = Statement("""
    UPDATE payouts SET status = $2, reference = $3, error = $4, sent_at = NULL, updated_at = app_now() WHERE id = $1
""")
SAVE_REVERSAL = Statement("""
    UPDATE payouts SET reversed = $2, status = $3, updated_at = app_now() WHERE id = $1
""")
SENT = Statement("UPDATE payouts SET sent_at = coalesce(sent_at, app_now()), updated_at = app_now() WHERE id = $1")
NOT_COVERED = Statement("""
    UPDATE payouts SET sent_at = NULL, refusals = refusals + 1, updated_at = app_now()
    WHERE id = $1 AND status = 'PENDING' AND refusals = $2
""")
PENDING = Statement("SELECT id FROM payouts WHERE seller_id = $1 AND status = 'PENDING' ORDER BY created_at, id")
SET_DESTINATION = Statement("""
    INSERT INTO payout_accounts (seller_id, destination, updated_at) VALUES ($1, $2, app_now())
    ON CONFLICT (seller_id) DO UPDATE SET destination = excluded.destination, updated_at = excluded.updated_at
""")
DESTINATION = Statement("SELECT destination FROM payout_accounts WHERE seller_id = $1")


class PayoutKey(NamedTuple):
    """The end of a page: the time (aware) and the id of its last payout."""

    created_at: datetime
    id: UUID


class PayoutReading(NamedTuple):
    """A payout, and whether its seller's payouts are held."""

    payout: Payout
    is_held: bool


# Newer than every payout.
START = PayoutKey(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class Payouts:
    """Payouts, and sellers' accounts at the payment provider."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    def add(self, payout: Payout) -> None:
        """Store a new payout and its outbox row, in the transaction that takes its amount from the balance."""
        self._database.write(ADD, *_values(payout), payout.created_at)
        self._outbox.add(PAYOUTS, str(payout.id), 1, {})

    def get(self, payout_id: UUID) -> PayoutReading | None:
        """Return the payout, if there is one."""
        row = self._database.fetch_one(ONE, payout_id)
        return _to_reading(row) if row else None

    def lock(self, payout_id: UUID) -> Payout | None:
        """Return the payout, locked until the end of the transaction."""
        row = self._database.fetch_one(LOCKED, payout_id)
        return to_payout(row) if row else None

    def page(self, seller_id: UUID | None, *, after: PayoutKey, limit: int) -> list[PayoutReading]:
        """Return the newest `limit` payouts of a seller, or of everyone, that are older than `after`."""
        statement = EVERYONE if seller_id is None else OWN
        return [_to_reading(row) for row in self._database.fetch_all(statement, seller_id, *after, limit)]

    def begin(self, payout_id: UUID) -> None:
        """Record that the provider is going to be asked for a payout that this transaction has locked."""
        self._database.write(SENT, payout_id)

    def save_not_covered(self, payout: Payout) -> None:
        """Record that the provider has definitely not paid the payout. Does nothing when somebody else has done so."""
        self._database.fetch_all(NOT_COVERED, payout.id, payout.refusals)

    def save_outcome(self, payout: Payout) -> None:
        """Store the outcome of a payout that this transaction has locked."""
        self._database.write(OUTCOME, payout.id, payout.status, payout.reference, payout.error)

    def save_reversal(self, payout: Payout) -> None:
        """Store the reversal of a payout that this transaction has locked."""
        self._database.write(SAVE_REVERSAL, payout.id, payout.reversed, payout.status)

    def send_pending(self, seller_id: UUID) -> None:
        """Let the seller's PENDING payouts be sent, those of a hold that this transaction releases."""
        for row in self._database.fetch_all(PENDING, seller_id):
            self._outbox.hurry(PAYOUTS, str(row["id"]))
            self._outbox.add(PAYOUTS, str(row["id"]), 1, {})

    def set_destination(self, seller_id: UUID, destination: str) -> None:
        """Store the destination of a seller's payouts."""
        self._database.fetch_all(SET_DESTINATION, seller_id, destination)

    def destination(self, seller_id: UUID) -> str:
        """Return the destination of a seller's payouts; empty when they have named none."""
        row = self._database.fetch_one(DESTINATION, seller_id)
        return str(row["destination"]) if row else ""


def to_payout(row: Row) -> Payout:
    """Return the payout of a row of COLUMNS."""
    return Payout(**{**row, "status": Status(row["status"])})


def _to_reading(row: Row) -> PayoutReading:
    is_held = row.pop("is_held")
    return PayoutReading(to_payout(row), is_held)
