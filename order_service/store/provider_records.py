"""The payment provider's records as far as they were reported: refunds, chargebacks and fees, and the events."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from order_service.domain.chargeback import Chargeback, ChargebackState
from order_service.domain.refund import Refund, RefundState
from servicekit.database import Database, Row, Statement

RECORD_EVENT = Statement("""
    INSERT INTO provider_events (id, taken_at) VALUES ($1, app_now()) ON CONFLICT DO NOTHING RETURNING id
""")
REFUNDS = Statement("""
    SELECT id, order_id, amount, state, provider_id FROM refunds WHERE order_id = $1 ORDER BY created_at, id
""")
SAVE_REFUND = Statement("""
    INSERT INTO refunds (id, order_id, amount, state, provider_id, created_at) VALUES ($1, $2, $3, $4, $5, app_now())
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, provider_id = excluded.provider_id
""")
REMOVE_REFUND = Statement("DELETE FROM refunds WHERE id = $1 AND state = 'REQUESTED'")
CHARGEBACKS = Statement("""
    SELECT id, order_id, amount, state, evidence_due_by, reported_at FROM chargebacks
    WHERE order_id = $1 ORDER BY reported_at, id
""")
SAVE_CHARGEBACK = Statement("""
    INSERT INTO chargebacks (id, order_id, amount, state, evidence_due_by, reported_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (id) DO UPDATE
    SET amount = excluded.amount, state = excluded.state, evidence_due_by = excluded.evidence_due_by
""")
SAVE_FEE = Statement("""
    INSERT INTO provider_fees (id, order_id, amount, reported_at) VALUES ($1, $2, $3, app_now()) ON CONFLICT DO NOTHING
""")
FEES = Statement("SELECT coalesce(sum(amount), 0) AS amount FROM provider_fees WHERE order_id = $1")
POLLED_UNTIL = Statement("SELECT until FROM provider_polls")
SET_POLLED_UNTIL = Statement("""
    INSERT INTO provider_polls (until) VALUES ($1)
    ON CONFLICT (is_only) DO UPDATE SET until = greatest(provider_polls.until, excluded.until)
""")


class ProviderRecords:
    """Refunds, chargebacks and fees of orders. Those of one order are changed under the order's row lock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_event(self, event_id: str) -> bool:
        """Record an event, in the transaction of its consequences. Return False when it was recorded before."""
        return bool(self._database.fetch_all(RECORD_EVENT, event_id))

    def refunds(self, order_id: UUID) -> list[Refund]:
        """Return the refunds of an order, oldest first."""
        return [to_refund(row) for row in self._database.fetch_all(REFUNDS, order_id)]

    def save_refund(self, refund: Refund) -> None:
        """Store a new refund, or the state of a known one."""
        self._database.write(SAVE_REFUND, refund.id, refund.order_id, refund.amount, refund.state, refund.provider_id)

    def remove_refund(self, refund_id: UUID) -> None:
        """Remove a refund that was REQUESTED, and that the provider has definitely not made."""
        self._database.fetch_all(REMOVE_REFUND, refund_id)

    def chargebacks(self, order_id: UUID) -> list[Chargeback]:
        """Return the chargebacks of an order, oldest first."""
        return [to_chargeback(row) for row in self._database.fetch_all(CHARGEBACKS, order_id)]

    def save_chargeback(self, chargeback: Chargeback) -> None:
        """Store a new chargeback, or the state of a known one."""
        self._database.write(
            SAVE_CHARGEBACK,
            chargeback.id,
            chargeback.order_id,
            chargeback.amount,
            chargeback.state,
            chargeback.evidence_due_by,
            chargeback.reported_at,
        )

    def save_fee(self, fee_id: str, order_id: UUID, amount: object) -> None:
        """Store a fee, unless it is known."""
        self._database.write(SAVE_FEE, fee_id, order_id, amount)

    def fees(self, order_id: UUID) -> Decimal:
        """Return the sum of the fees of an order."""
        row = self._database.fetch_one(FEES, order_id)
        assert row is not None
        amount: Decimal = row["amount"]
        return amount

    def polled_until(self) -> datetime | None:
        """Return the time (aware) until which the provider was asked for its events; None before the first time."""
        row = self._database.fetch_one(POLLED_UNTIL)
        return row["until"] if row else None

    def set_polled_until(self, at: datetime) -> None:
        """Store the time until which the provider was asked. It never goes back."""
        self._database.fetch_all(SET_POLLED_UNTIL, at)


def to_refund(row: Row) -> Refund:
    """Return the refund of a row with its columns."""
    return Refund(**{**row, "state": RefundState(row["state"])})


def to_chargeback(row: Row) -> Chargeback:
    """Return the chargeback of a row with its columns."""
    return Chargeback(**{**row, "state": ChargebackState(row["state"])})
