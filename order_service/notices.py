"""What payment providers report by themselves: chargebacks, and how they end. Twice or out of order does no harm."""

from __future__ import annotations

from datetime import datetime

import structlog

from order_service.domain.lifecycle import charge_back
from order_service.domain.order import Change, Order
from order_service.domain.settlement import win_back
from order_service.payments.gateway import ChargebackState, ProviderEvent
from order_service.store import Store
from order_service.store.reports import Chargeback
from servicekit.errors import Unavailable

LAST = frozenset((ChargebackState.WON, ChargebackState.LOST))


class Notices:
    """Takes reports, from the webhook or from the sandbox."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._log = structlog.get_logger()

    def take(self, event: ProviderEvent) -> None:
        """Stores what follows from a report, once. Raises Unavailable when it has to come again a little later."""
        order_id = self._store.orders.with_payment(event.reference)
        log = self._log.bind(event=event.event_id, dispute=event.chargeback_id, state=event.state)
        with self._store.transaction("provider event"):
            if not self._store.reports.take(event.event_id):
                return
            if order_id is None:
                log.warning("report of a payment that is not ours", reference=event.reference)
                return
            self._store.orders.change(order_id, lambda order, now: self._follow(order, event, now))
        log.info("report taken", order=str(order_id))

    def _follow(self, order: Order, event: ProviderEvent, now: datetime) -> Change:
        # It may come before we have stored that the money was taken at all.
        if order.is_being_captured:
            raise Unavailable
        known = self._store.reports.chargeback(event.chargeback_id)
        if known is not None and (known.state in LAST or known.state is event.state):
            return Change(order)
        amount = known.amount if known else event.amount
        self._store.reports.remember(Chargeback(event.chargeback_id, order.id, amount, event.state))
        if known is None and event.state is not ChargebackState.WON:
            return charge_back(order, event.chargeback_id, amount, now)
        if known is not None and event.state is ChargebackState.WON:
            return win_back(order, event.chargeback_id, amount)
        return Change(order)
