"""Holds of sellers' payouts, in PostgreSQL."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.payout import PayoutHold
from servicekit.database import Database, Statement

# Locks of a transaction. A seller without a hold has no row that could be locked.
LOCK_FOR_PAYOUT = Statement("SELECT pg_advisory_xact_lock_shared(hashtextextended('payout-hold:' || $1::text, 0))")
LOCK_FOR_CHANGE = Statement("SELECT pg_advisory_xact_lock(hashtextextended('payout-hold:' || $1::text, 0))")
GET = Statement("SELECT reason, since FROM payout_holds WHERE seller_id = $1")
SET = Statement("""
    INSERT INTO payout_holds (seller_id, reason, admin_id, since) VALUES ($1, $2, $3, app_now())
    ON CONFLICT (seller_id) DO UPDATE SET reason = excluded.reason, admin_id = excluded.admin_id
    RETURNING reason, since
""")
RELEASE = Statement("DELETE FROM payout_holds WHERE seller_id = $1 RETURNING seller_id")


class PayoutHolds:
    """The sellers whose payouts are held. Every method with `lock` in its name is called in a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lock_for_payout(self, seller_id: UUID) -> bool:
        """Return whether the seller's payouts are held. Until the transaction ends, that does not change."""
        self._database.write(LOCK_FOR_PAYOUT, seller_id)
        return self.get(seller_id) is not None

    def lock_for_change(self, seller_id: UUID) -> None:
        """Wait for the transactions that have read the seller's hold, and stop others until the transaction ends."""
        self._database.write(LOCK_FOR_CHANGE, seller_id)

    def get(self, seller_id: UUID) -> PayoutHold | None:
        """Return the hold of the seller's payouts, if there is one."""
        row = self._database.fetch_one(GET, seller_id)
        return PayoutHold(**row) if row else None

    def set(self, seller_id: UUID, reason: str, admin_id: UUID) -> PayoutHold:
        """Store a hold. One that stands already gets the new reason, and keeps its time."""
        [row] = self._database.fetch_all(SET, seller_id, reason, admin_id)
        return PayoutHold(**row)

    def release(self, seller_id: UUID) -> bool:
        """Delete the hold. Return whether there was one."""
        return bool(self._database.fetch_all(RELEASE, seller_id))
