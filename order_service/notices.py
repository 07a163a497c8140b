"""What payment providers report by themselves: chargebacks, and how they end. Twice or out of order does no harm."""

from __future__ import annotations

from datetime import datetime

import structlog

from order_service.domain.lifecycle import charge_back
from order_service.domain.order import Change, Order
from order_service.domain.settlement import win_back
from order_service.payments.gateway import DisputeState, Notice
from order_service.store import Store
from order_service.store.reports import Chargeback
from servicekit.errors import Unavailable

LAST = frozenset((DisputeState.WON, DisputeState.LOST))


class Notices:
    """Takes reports, from the webhook or from the sandbox."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._log = structlog.get_logger()

    def take(self, notice: Notice) -> None:
        """Stores what follows from a report, once. Raises Unavailable when it has to come again a little later."""
        order_id = self._store.orders.with_payment(notice.reference)
        log = self._log.bind(event=notice.event_id, dispute=notice.dispute_id, state=notice.state)
        with self._store.transaction("notice"):
            if not self._store.reports.take(notice.event_id):
                return
            if order_id is None:
                log.warning("report of a payment that is not ours", reference=notice.reference)
                return
            self._store.orders.change(order_id, lambda order, now: self._follow(order, notice, now))
        log.info("report taken", order=str(order_id))

    def _follow(self, order: Order, notice: Notice, now: datetime) -> Change:
        # It may come before we have stored that the money was taken at all.
        if order.is_being_captured:
            raise Unavailable
        known = self._store.reports.chargeback(notice.dispute_id)
        if known is not None and (known.state in LAST or known.state is notice.state):
            return Change(order)
        amount = known.amount if known else notice.amount
        self._store.reports.remember(Chargeback(notice.dispute_id, order.id, amount, notice.state))
        if known is None and notice.state is not DisputeState.WON:
            return charge_back(order, notice.dispute_id, amount, now)
        if known is not None and notice.state is DisputeState.WON:
            return win_back(order, notice.dispute_id, amount)
        return Change(order)
