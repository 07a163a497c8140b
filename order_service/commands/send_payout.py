"""Pay a requested payout."""

from __future__ import annotations

from uuid import UUID

import structlog

from order_service.domain.ledger import payout_failed, payout_paid
from order_service.domain.payout import Status
from order_service.payments.gateway import Gateway, PayoutRefusedError, Transfer
from order_service.store.store import Store


class SendPayout:
    """Pay a seller at the provider and store the outcome. Neither the provider nor the ledger does it twice."""

    def __init__(self, store: Store, gateway: Gateway) -> None:
        self._store = store
        self._gateway = gateway
        self._log = structlog.get_logger()

    def execute(self, payout_id: UUID) -> None:
        """Pay the payout, or fail it when the provider refuses it for good.

        Raises Unavailable when it has to be tried again.
        """
        with self._store.transaction("payout sent"):
            payout = self._store.payouts.lock(payout_id)
            if payout is None or payout.status is not Status.PENDING:
                return
            transfer = Transfer(payout.id, payout.amount, payout.currency, payout.destination)
            try:
                reference = self._gateway.pay_out(transfer)
            except PayoutRefusedError as refusal:
                self._log.warning("payout refused", payout=str(payout.id), reason=str(refusal))
                self._store.payouts.end(payout.id, Status.FAILED, error=str(refusal))
                posting = payout_failed(payout.id, payout.seller_id, payout.amount)
            else:
                self._store.payouts.end(payout.id, Status.PAID, reference=reference)
                posting = payout_paid(payout.id, payout.seller_id, payout.amount)
            self._store.ledger.post(posting, self._store.now())
