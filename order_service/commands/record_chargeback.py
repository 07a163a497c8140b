"""Record what the payment provider reports about a chargeback."""

from __future__ import annotations

import structlog

from order_service.domain.chargeback import Chargeback, ChargebackState
from order_service.domain.lifecycle import record_chargeback
from order_service.domain.settlement import reverse_chargeback
from order_service.payments.gateway import ProviderEvent
from order_service.store.store import Store
from servicekit.database import retry_conflicts
from servicekit.errors import Unavailable


class RecordChargeback:
    """Store a provider event and its consequences, once. Repeated and reordered events do no harm."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._log = structlog.get_logger()

    @retry_conflicts
    def execute(self, event: ProviderEvent) -> None:
        """Record the event. Raises Unavailable when it has to come again later."""
        log = self._log.bind(event=event.event_id, dispute=event.chargeback_id, state=event.state)
        order_id = self._store.orders.id_by_payment(event.reference)
        with self._store.transaction("provider event"):
            if not self._store.provider_events.record(event.event_id):
                return
            if order_id is None:
                log.warning("report of a payment that is not ours", reference=event.reference)
                return
            order, now = self._store.orders.lock(order_id)
            # The event can arrive before the capture's outcome is stored.
            if order.is_being_captured:
                raise Unavailable
            known = self._store.provider_events.lock_chargeback(event.chargeback_id)
            if known is not None and (known.state.is_final or known.state is event.state):
                return
            amount = known.amount if known else event.amount
            self._store.provider_events.save_chargeback(Chargeback(event.chargeback_id, order.id, amount, event.state))
            if known is None and event.state is not ChargebackState.WON:
                self._store.orders.save(record_chargeback(order, event.chargeback_id, amount, now), now)
            if known is not None and event.state is ChargebackState.WON:
                self._store.orders.save(reverse_chargeback(order, event.chargeback_id, amount), now)
        log.info("report taken", order=str(order_id))
