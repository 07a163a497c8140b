"""Provider events that were processed, and the chargebacks that they report."""

from __future__ import annotations

from order_service.domain.chargeback import Chargeback, ChargebackState
from servicekit.database import Database, Row, Statement

RECORD = Statement("""
    INSERT INTO provider_events (id, taken_at) VALUES ($1, app_now()) ON CONFLICT DO NOTHING RETURNING id
""")
LOCK_CHARGEBACK = Statement("SELECT id, order_id, amount, state FROM chargebacks WHERE id = $1 FOR UPDATE")
SAVE_CHARGEBACK = Statement("""
    INSERT INTO chargebacks (id, order_id, amount, state, reported_at) VALUES ($1, $2, $3, $4, app_now())
    ON CONFLICT (id) DO UPDATE SET state = excluded.state
""")


class ProviderEvents:
    """Processed events by their ids, and chargebacks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, event_id: str) -> bool:
        """Record an event, in the transaction of its consequences. Return False when it was recorded before."""
        return bool(self._database.fetch_all(RECORD, event_id))

    def lock_chargeback(self, chargeback_id: str) -> Chargeback | None:
        """Return the chargeback with this id, if it is known; locked."""
        row = self._database.fetch_one(LOCK_CHARGEBACK, chargeback_id)
        return to_chargeback(row) if row else None

    def save_chargeback(self, chargeback: Chargeback) -> None:
        """Store a new chargeback, or the state of a known one."""
        self._database.fetch_all(
            SAVE_CHARGEBACK, chargeback.id, chargeback.order_id, chargeback.amount, chargeback.state
        )


def to_chargeback(row: Row) -> Chargeback:
    """Return the chargeback of a row with `id`, `order_id`, `amount` and `state`."""
    return Chargeback(**{**row, "state": ChargebackState(row["state"])})
