"""The sandbox's records of payments: refunds, chargebacks and fees, and the events that report them."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from pydantic import TypeAdapter

from order_service.domain.chargeback import ChargebackState
from order_service.domain.refund import RefundState
from order_service.payments.gateway import (
    PaymentReport,
    ProviderChargeback,
    ProviderEvent,
    ProviderFee,
    ProviderRefund,
    TransferReport,
)
from servicekit.database import Database, Row, Statement
from servicekit.ids import new_id

CENT = Decimal("0.01")
# The fee of a payment is a part of its amount and a fixed sum; the one of a chargeback is fixed.
FEE_PART, FEE_FIXED, CHARGEBACK_FEE = Decimal("0.029"), Decimal("0.30"), Decimal("15.00")

PAYMENT = Statement("""
    SELECT order_id, reference, token, amount, state, held_until > app_now() AS is_held, client_secret
    FROM payments WHERE order_id = $1 FOR UPDATE
""")
# A statement of its own, after the lock: subqueries of a statement that waits for a row do not see what was committed
# meanwhile.
REST = Statement("""
    SELECT amount
        - (SELECT COALESCE(sum(amount), 0) FROM refunds WHERE order_id = $1 AND state IN ('PENDING', 'SUCCEEDED'))
        - (SELECT COALESCE(sum(amount), 0) FROM chargebacks WHERE order_id = $1 AND state <> 'WON') AS rest
    FROM payments WHERE order_id = $1 AND state = 'CAPTURED'
""")
ADD_REFUND = Statement("""
    INSERT INTO refunds (id, refund_id, order_id, amount, state, fails_at)
    VALUES ($1, $2, $3, $4, $5, app_now() + $6::interval)
""")
ADD_CHARGEBACK = Statement("""
    INSERT INTO chargebacks (id, order_id, amount, state, evidence_due_by, decision, decided_at)
    VALUES ($1, $2, $3, 'NEEDS_RESPONSE', app_now() + interval '7 days', $4, app_now() + $5::interval)
    RETURNING id, amount, state, evidence_due_by
""")
ADD_FEE = Statement("INSERT INTO fees (id, order_id, amount) VALUES ($1, $2, $3)")
FEE = Statement("SELECT id, amount FROM fees WHERE id = $1")
ADD_EVENT = Statement("INSERT INTO events (event_id, report) VALUES ($1, $2::jsonb)")
PENDING_EVENTS = Statement("SELECT event_id, report FROM events WHERE NOT is_taken ORDER BY number LIMIT $1")
ACKNOWLEDGE = Statement("UPDATE events SET is_taken = true WHERE event_id = $1")

REPORTS: TypeAdapter[PaymentReport | TransferReport] = TypeAdapter(PaymentReport | TransferReport)
PAYMENT_REPORTS = TypeAdapter(PaymentReport)


class Records:
    """The sandbox's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _payment(self, order_id: UUID) -> Row:
        """Return the payment, locked."""
        payment = self._database.fetch_one(PAYMENT, order_id)
        if payment is None:
            raise LookupError(f"the sandbox knows no payment of order {order_id}")
        return payment

    def _rest(self, order_id: UUID) -> Decimal:
        """Return the captured amount that was neither refunded nor charged back. The payment is locked."""
        row = self._database.fetch_one(REST, order_id)
        return row["rest"] if row else Decimal(0)

    def _add_refund(
        self, order_id: UUID, amount: Decimal, refund_id: UUID | None = None, fails_after: timedelta | None = None
    ) -> ProviderRefund:
        """Store a refund: SUCCEEDED, or PENDING when it fails after an interval."""
        state = RefundState.SUCCEEDED if fails_after is None else RefundState.PENDING
        refund = ProviderRefund(f"refund_{new_id()}", refund_id, amount, state)
        self._database.write(ADD_REFUND, refund.id, refund_id, order_id, amount, state, fails_after)
        return refund

    def _add_chargeback(
        self,
        payment: Row,
        amount: Decimal,
        decision: ChargebackState | None = None,
        decided_after: timedelta | None = None,
    ) -> str:
        """Store a chargeback with its fee and its event, and the bank's decision after an interval. Return its id."""
        columns = (f"chargeback_{new_id()}", payment["order_id"], amount, decision, decided_after)
        row = self._database.fetch_one(ADD_CHARGEBACK, *columns)
        assert row is not None
        chargeback = to_chargeback(row)
        fee = ProviderFee(f"fee_{chargeback.id}", CHARGEBACK_FEE)
        self._database.write(ADD_FEE, fee.id, payment["order_id"], fee.amount)
        self._add_event(PaymentReport(payment["reference"], chargebacks=(chargeback,), fees=(fee,)))
        return chargeback.id

    def _add_payment_fee(self, payment: Row) -> None:
        amount = (payment["amount"] * FEE_PART + FEE_FIXED).quantize(CENT, ROUND_HALF_UP)
        self._database.write(ADD_FEE, f"fee_{payment['reference']}", payment["order_id"], amount)

    def _payment_fee(self, payment: Row) -> tuple[ProviderFee, ...]:
        rows = self._database.fetch_all(FEE, f"fee_{payment['reference']}")
        return tuple(ProviderFee(**row) for row in rows)

    def _add_event(self, report: PaymentReport | TransferReport) -> None:
        self._database.write(ADD_EVENT, f"event_{new_id()}", REPORTS.dump_json(report).decode())

    def _events(self, limit: int) -> list[ProviderEvent]:
        rows = self._database.fetch_all(PENDING_EVENTS, limit)
        return [ProviderEvent(row["event_id"], REPORTS.validate_python(row["report"])) for row in rows]

    def acknowledge(self, event_id: str) -> None:
        """Record that an event was processed and need not come again."""
        self._database.fetch_all(ACKNOWLEDGE, event_id)


def to_chargeback(row: Row) -> ProviderChargeback:
    """Return a row of `chargebacks` as a record."""
    return ProviderChargeback(**{**row, "state": ChargebackState(row["state"])})


def to_refund(row: Row) -> ProviderRefund:
    """Return a row of `refunds` as a record."""
    return ProviderRefund(**{**row, "state": RefundState(row["state"])})
