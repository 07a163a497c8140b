"""Takes payouts to the payment provider: the outbox's topic PAYOUTS."""

from __future__ import annotations

from uuid import UUID

import structlog

from order_service.domain.ledger import payout_failed, payout_paid
from order_service.domain.payout import Status
from order_service.payments.gateway import Gateway, PayoutRefusedError, Transfer
from order_service.store import Store
from servicekit.outbox import Message


class PayoutDelivery:
    """Delivers payouts until they are paid or refused for good. The provider pays none twice, and nor do we."""

    def __init__(self, store: Store, gateway: Gateway) -> None:
        self._store = store
        self._gateway = gateway
        self._log = structlog.get_logger()

    def deliver(self, message: Message) -> None:
        """Does what the row says, and stores what came of it. Raises Unavailable when it has to be tried again."""
        payout = self._store.payouts.lock(UUID(message.key))
        if payout is None or payout.status is not Status.PENDING:
            return
        transfer = Transfer(payout.id, payout.amount, payout.currency, payout.destination)
        try:
            reference = self._gateway.pay_out(transfer)
        except PayoutRefusedError as refused:
            self._log.warning("payout refused", payout=str(payout.id), reason=str(refused))
            self._store.payouts.end(payout.id, Status.FAILED, error=str(refused))
            posting = payout_failed(payout.id, payout.seller_id, payout.amount)
        else:
            self._store.payouts.end(payout.id, Status.PAID, reference=reference)
            posting = payout_paid(payout.id, payout.seller_id, payout.amount)
        self._store.ledger.post(posting, self._store.now())
