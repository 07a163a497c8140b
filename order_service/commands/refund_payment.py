"""Make the refunds that were decided for an order."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import structlog

from order_service.commands.record_report import RecordReport
from order_service.domain.failed_refund import fail_refund
from order_service.domain.order import Order
from order_service.domain.refund import Refund, RefundState
from order_service.domain.settlement import outstanding
from order_service.payments.gateway import (
    Gateway,
    PaymentReport,
    RefundNotMadeError,
    RefundRefusedError,
    RefundRequest,
)
from order_service.store.store import Store
from servicekit.database import retry_conflicts
from servicekit.ids import new_id
from servicekit.outbox import PutOff

# The time until the next refund, after one that failed before it counted.
AFTER_FAILURE = timedelta(minutes=1)


class RefundPayment:
    """Refund the buyer at the provider, then in the order and the ledger. Repeating it does nothing.

    A refund is stored with its id before the provider is asked, and the same id is asked for until the outcome is
    known. After a definite "not made" the next refund has a new id: a provider may repeat its response to the old one.
    """

    def __init__(self, store: Store, gateway: Gateway, record_report: RecordReport) -> None:
        self._store = store
        self._gateway = gateway
        self._record_report = record_report
        self._log = structlog.get_logger()

    def execute(self, order_id: UUID) -> None:
        """Make what is outstanding. Raises Unavailable or PutOff when it has to be tried again."""
        order, refund = self._request(order_id)
        if refund is None:
            return
        try:
            made = self._gateway.refund(RefundRequest(refund.id, order_id, order.payment_reference, refund.amount))
        except RefundNotMadeError as error:
            self._look_up(order, refund, error)
            return
        except RefundRefusedError as error:
            self._fail(order, refund, error)
            return
        if self._record(refund, PaymentReport(order.payment_reference, refunds=(made,))):
            raise PutOff(AFTER_FAILURE, "the refund has failed at the payment provider")

    @retry_conflicts
    def _request(self, order_id: UUID) -> tuple[Order, Refund | None]:
        """Return the order, and the refund to ask for: one whose outcome is not known, or a new one, or none."""
        with self._store.transaction("refund requested"):
            order = self._store.orders.lock(order_id).order
            open_refunds = [each for each in self._store.provider_records.refunds(order_id) if each.state.is_open]
            for refund in open_refunds:
                if refund.state is RefundState.REQUESTED:
                    return order, refund
            amount = outstanding(order) - sum(each.amount for each in open_refunds)
            if amount <= 0:
                return order, None
            refund = Refund(new_id(), order_id, amount, RefundState.REQUESTED)
            self._store.provider_records.save_refund(refund)
            return order, refund

    @retry_conflicts
    def _record(self, refund: Refund, report: PaymentReport) -> bool:
        """Store the response. Return whether the refund has failed, maybe by an earlier event, and money is still due.

        A refund that fails before it counted changes nothing in the order, so no other task makes the next one.
        """
        with self._store.transaction("order"):
            after = self._record_report.execute(refund.order_id, report)
            states = {each.id: each.state for each in self._store.provider_records.refunds(refund.order_id)}
        return states[refund.id] is RefundState.FAILED and outstanding(after) > 0

    def _look_up(self, order: Order, refund: Refund, error: RefundNotMadeError) -> None:
        """Learn what the provider knows of the payment. Raises PutOff unless that leaves nothing to refund."""
        report = self._gateway.look_up(order.id, order.payment_reference)
        with self._store.transaction("refund not made"):
            self._store.orders.lock(order.id)
            self._store.provider_records.remove_refund(refund.id)
            after = self._record_report.execute(order.id, report)
        self._log.warning("refund not made", order=str(order.id), reason=error.reason)
        if 0 < outstanding(after) < refund.amount:
            self.execute(order.id)
        elif outstanding(after) > 0:
            raise PutOff(error.delay, error.reason)

    def _fail(self, order: Order, refund: Refund, error: RefundRefusedError) -> None:
        """Undo the decision of a refund that the provider refuses for good.

        What an order owes its buyer by its end stays due: then the outbox parks the task, for people to look at.
        """
        self._log.error("refund refused for good", order=str(order.id), reason=str(error))
        with self._store.transaction("refund refused"):
            order, now = self._store.orders.lock(order.id)
            self._store.provider_records.remove_refund(refund.id)
            while change := fail_refund(order, self._store.orders.history(order.id), now):
                self._store.orders.save(change, now)
                order = change.order
        if outstanding(order) > 0:
            raise error
