"""The people and banks that act on the sandbox's payments by themselves: chargebacks, failed refunds, refunds by hand.

Every act writes an event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from order_service.domain.chargeback import ChargebackState
from order_service.domain.refund import RefundState
from order_service.payments.event_source import PollCursor
from order_service.payments.gateway import PaymentReport, ProviderEvent, ProviderRefund, TransferReport
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.records import Records, to_chargeback, to_refund
from servicekit.database import Row, Statement

# The most events of one poll.
BATCH = 20

CHARGEBACK = Statement("SELECT id, amount, state, evidence_due_by FROM chargebacks WHERE id = $1")
ORDER_OF_CHARGEBACK = Statement("SELECT order_id FROM chargebacks WHERE id = $1")
DECIDE = Statement("UPDATE chargebacks SET state = $2, decision = NULL, decided_at = NULL WHERE id = $1")
DUE_CHARGEBACKS = Statement("SELECT id, decision FROM chargebacks WHERE decided_at <= app_now() ORDER BY decided_at")
LATE = Statement(f"""
    SELECT order_id FROM payments
    WHERE token = '{scenarios.CHARGEBACK_LATE}' AND state = 'CAPTURED'
        AND NOT EXISTS (SELECT FROM chargebacks WHERE order_id = payments.order_id)
""")  # noqa: S608  # our own word
REFUND = Statement("SELECT id, refund_id, amount, state FROM refunds WHERE id = $1")
ORDER_OF_REFUND = Statement("SELECT order_id FROM refunds WHERE id = $1")
FAIL = Statement("UPDATE refunds SET state = 'FAILED', fails_at = NULL WHERE id = $1")
DUE_REFUNDS = Statement("SELECT id FROM refunds WHERE fails_at <= app_now() ORDER BY fails_at")
REVERSE = Statement("""
    UPDATE payouts SET reversed = reversed + COALESCE($2, amount - reversed) WHERE payout_id = $1
    RETURNING payout_id, amount, reversed, reference
""")


class Bank(Records):
    """The acts of banks, of card holders, and of people in the provider's dashboard."""

    def charge_back(self, order_id: UUID, amount: Decimal | None = None) -> str:
        """Charge back an amount of a captured payment, by default all that is left. Return the chargeback's id.

        Raises ValueError when that is nothing, or less than the amount.
        """
        with self._database.transaction():
            payment = self._payment(order_id)
            rest = self._rest(order_id)
            taken = rest if amount is None else amount
            if not 0 < taken <= rest:
                raise ValueError(f"{taken} of order {order_id} cannot be charged back: {rest} is left")
            return self._add_chargeback(payment, taken)

    def awaiting_completion(self) -> list[UUID]:
        """Return the orders whose payment is charged back once they are completed."""
        return [row["order_id"] for row in self._database.fetch_all(LATE)]

    def report_completion(self, order_id: UUID) -> None:
        """Charge back the payment of a completed order whose card asks for that. Does nothing the second time."""
        with self._database.transaction():
            payment = self._payment(order_id)
            rest = self._rest(order_id)
            if rest > 0 and order_id in self.awaiting_completion():
                self._add_chargeback(payment, rest)

    def decide_chargeback(self, chargeback_id: str, state: ChargebackState) -> None:
        """Move a chargeback to a state that can follow its own; nothing when it has the state already.

        Raises ValueError for a state that cannot follow.
        """
        with self._database.transaction():
            payment = self._payment(self._order_of(ORDER_OF_CHARGEBACK, chargeback_id))
            row = self._database.fetch_one(CHARGEBACK, chargeback_id)
            assert row is not None
            chargeback = to_chargeback(row)
            if state is chargeback.state:
                return
            if state.rank < chargeback.state.rank:
                raise ValueError(f"chargeback {chargeback_id} is {chargeback.state} and cannot become {state}")
            self._database.fetch_all(DECIDE, chargeback_id, state)
            self._add_event(PaymentReport(payment["reference"], chargebacks=(replace(chargeback, state=state),)))

    def refund_by_hand(self, order_id: UUID, amount: Decimal) -> str:
        """Refund an amount as somebody does in the provider's dashboard. Return the provider's id of the refund.

        Raises ValueError when less is left.
        """
        with self._database.transaction():
            payment = self._payment(order_id)
            rest = self._rest(order_id)
            if not 0 < amount <= rest:
                raise ValueError(f"{amount} of order {order_id} cannot be refunded: {rest} is left")
            refund = self._add_refund(order_id, amount)
            self._report_refund(payment, refund)
        return refund.id

    def fail_refund(self, provider_id: str) -> None:
        """Send the money of a refund back. Does nothing when it has failed already."""
        with self._database.transaction():
            payment = self._payment(self._order_of(ORDER_OF_REFUND, provider_id))
            row = self._database.fetch_one(REFUND, provider_id)
            assert row is not None
            refund = to_refund(row)
            if refund.state is not RefundState.FAILED:
                self._database.fetch_all(FAIL, provider_id)
                self._report_refund(payment, replace(refund, state=RefundState.FAILED))

    def reverse_transfer(self, payout_id: UUID, amount: Decimal | None = None) -> None:
        """Take a part of a payout back, by default all that is left of it. More is refused by the database."""
        with self._database.transaction():
            row = self._database.fetch_one(REVERSE, payout_id, amount)
            if row is None:
                raise LookupError(f"the sandbox knows no payout {payout_id}")
            self._add_event(TransferReport(**row))

    def poll(self, cursor: PollCursor) -> Iterator[ProviderEvent]:
        """See EventSource. The sandbox needs no cursor: it knows which events were acknowledged."""
        yield from self.pending_events(BATCH)

    def pending_events(self, limit: int) -> list[ProviderEvent]:
        """Return the events that nobody has acknowledged yet, oldest first. What is due by now happens first."""
        for row in self._database.fetch_all(DUE_REFUNDS):
            self.fail_refund(row["id"])
        for row in self._database.fetch_all(DUE_CHARGEBACKS):
            self._decide_if_open(row)
        return self._events(limit)

    def _decide_if_open(self, due: Row) -> None:
        """Make the decision that is due, unless somebody else has made one."""
        with self._database.transaction():
            self._payment(self._order_of(ORDER_OF_CHARGEBACK, due["id"]))
            row = self._database.fetch_one(CHARGEBACK, due["id"])
            if row is not None and to_chargeback(row).state.is_open:
                self.decide_chargeback(due["id"], ChargebackState(due["decision"]))

    def _report_refund(self, payment: Row, refund: ProviderRefund) -> None:
        self._add_event(PaymentReport(payment["reference"], refunds=(refund,)))

    def _order_of(self, statement: Statement, record_id: str) -> UUID:
        row = self._database.fetch_one(statement, record_id)
        if row is None:
            raise LookupError(f"the sandbox knows no {record_id}")
        order_id: UUID = row["order_id"]
        return order_id
