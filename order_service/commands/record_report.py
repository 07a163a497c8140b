"""Record what the payment provider reports about a captured payment."""

from __future__ import annotations

from uuid import UUID

from order_service.domain import lifecycle, settlement
from order_service.domain.chargeback import Chargeback
from order_service.domain.order import Order
from order_service.domain.refund import Refund
from order_service.payments.gateway import PaymentReport, ProviderRefund
from order_service.store.store import Store
from servicekit.errors import Unavailable
from servicekit.ids import new_id


class RecordReport:
    """Store a report and its consequences. Repeated and reordered reports lead to the same end."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, order_id: UUID, report: PaymentReport) -> Order:
        """Store the report in the caller's transaction, and return the order after it.

        Raises Unavailable when the report has to come again later.
        """
        order, now = self._store.orders.lock(order_id)
        # The event can arrive before the capture's outcome is stored.
        if order.is_being_captured:
            raise Unavailable
        records = self._store.provider_records
        refunds, chargebacks = records.refunds(order_id), records.chargebacks(order_id)
        for reported in report.refunds:
            records.save_refund(_refund_after(refunds, order_id, reported))
        for fee in report.fees:
            records.save_fee(fee.id, order_id, fee.amount)
        for each in report.chargebacks:
            known = next((known for known in chargebacks if known.id == each.id), None)
            if known is None:
                change = lifecycle.record_chargeback(order, now)
                self._store.orders.save(change, now)
                order = change.order
                known = Chargeback(each.id, order_id, each.amount, each.state, each.evidence_due_by, now)
            records.save_chargeback(known.after(each.amount, each.state, each.evidence_due_by))
        change = settlement.record(order, records.facts(order_id))
        if change.order != order:
            self._store.orders.save(change, now)
        return change.order


def _refund_after(refunds: list[Refund], order_id: UUID, reported: ProviderRefund) -> Refund:
    """Return the refund after a report of it. One that nobody here has requested was made by hand."""
    for known in refunds:
        if reported.refund_id == known.id or reported.id == known.provider_id:
            return known.after(reported.state, reported.id)
    return Refund(reported.refund_id or new_id(), order_id, reported.amount, reported.state, reported.id)
