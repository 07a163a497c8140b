"""Record what the payment provider reports about a captured payment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from order_service.domain import lifecycle, settlement
from order_service.domain.chargeback import Chargeback
from order_service.domain.order import Change, Order, PaymentTask
from order_service.domain.refund import Refund, RefundState
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
        known = {chargeback.id for chargeback in self._store.provider_records.chargebacks(order_id)}
        change = Change(order)
        for chargeback in report.chargebacks:
            if chargeback.id not in known:
                if change.event is not None:
                    # Each has an event of its own.
                    self._store.orders.save(change, now)
                change = lifecycle.record_chargeback(change.order, now)
        # Together with the newest chargeback, so that its event in the feed has the amount.
        change = self.apply_to(change, report, now)
        if change.order != order or change.payment_task is not None:
            self._store.orders.save(change, now)
        return change.order

    def apply_to(self, change: Change, report: PaymentReport, now: datetime) -> Change:
        """Store the provider's records of a report, and return the change with their consequences, to be saved.

        One `save` for both holds the locks of the seller's ledger accounts for a shorter time than two.
        """
        order_id, records = change.order.id, self._store.provider_records
        refunds = {each.id: each for each in records.refunds(order_id)}
        chargebacks = {each.id: each for each in records.chargebacks(order_id)}
        is_refund_lost = False
        # A provider also calls the release of an authorization a refund, though nothing was captured.
        for reported in () if change.order.is_authorized_only else report.refunds:
            refund = _refund_after(refunds.values(), order_id, reported)
            # It never counted, so that the order does not show its failure; and while it was open, none was made in its
            # place. RefundPayment itself sees a REQUESTED one fail.
            if refund.state is RefundState.FAILED and refund.id in refunds:
                is_refund_lost |= refunds[refund.id].state is RefundState.REQUIRES_ACTION
            refunds[refund.id] = refund
            records.save_refund(refund)
        for fee in report.fees:
            records.save_fee(fee.id, order_id, fee.amount)
        for each in report.chargebacks:
            new = Chargeback(each.id, order_id, each.amount, each.state, each.evidence_due_by, now)
            chargeback = chargebacks.get(each.id, new).after(each.amount, each.state, each.evidence_due_by)
            chargebacks[each.id] = chargeback
            records.save_chargeback(chargeback)
        facts = settlement.Facts.of(refunds.values(), chargebacks.values(), records.fees(order_id))
        recorded = settlement.record(change.order, facts)
        task = change.payment_task or recorded.payment_task
        if is_refund_lost and settlement.outstanding(recorded.order) > 0:
            task = PaymentTask.REFUND
        return replace(
            change,
            order=recorded.order,
            postings=change.postings + recorded.postings,
            payment_task=task,
        )


def _refund_after(refunds: Iterable[Refund], order_id: UUID, reported: ProviderRefund) -> Refund:
    """Return the refund after a report of it. One that nobody here has requested was made by hand."""
    for known in refunds:
        if reported.refund_id == known.id or reported.id == known.provider_id:
            return known.after(reported.state, reported.id)
    return Refund(reported.refund_id or new_id(), order_id, reported.amount, reported.state, reported.id)
