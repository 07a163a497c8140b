"""Pay a requested payout."""

from __future__ import annotations

from uuid import UUID

import structlog
from prometheus_client import Counter

from order_service.domain.feed import outcome_type
from order_service.domain.ledger import payout_failed, payout_paid
from order_service.domain.payout import Payout, Status, end, may_send, retry_delay
from order_service.payments.gateway import Gateway, NotCoveredError, PayoutRefusedError, Transfer
from order_service.store.store import Store
from servicekit.database import retry_conflicts
from servicekit.outbox import PutOff

NOT_COVERED = Counter(
    "marketplace_payouts_not_covered_total",
    "Payouts that the platform's balance at the payment provider did not cover, by try",
)


class SendPayout:
    """Pay a seller at the provider and store the outcome. Neither the provider nor the ledger does it twice.

    The provider is asked between two transactions. The first marks the payout as sent, under the lock of the seller's
    payout hold: afterwards its outcome is not known, so that a hold does not stop it. The second stores the outcome.
    """

    def __init__(self, store: Store, gateway: Gateway) -> None:
        self._store = store
        self._gateway = gateway
        self._log = structlog.get_logger()

    def execute(self, payout_id: UUID) -> None:
        """Pay the payout, or fail it when the provider refuses it for good. Does nothing while it is held.

        Raises Unavailable when it has to be tried again, and PutOff when it was definitely not paid and makes sense
        again later.
        """
        payout = self._begin(payout_id)
        if payout is None:
            return
        transfer = Transfer(payout.id, payout.amount, payout.currency, payout.destination, payout.refusals)
        try:
            reference = self._gateway.pay_out(transfer)
        except PayoutRefusedError as refusal:
            self._log.warning("payout refused", payout=str(payout.id), reason=str(refusal))
            self._end(payout.id, Status.FAILED, error=str(refusal))
        except NotCoveredError as refusal:
            delay = refusal.retry_after or retry_delay(payout.refusals + 1)
            NOT_COVERED.inc()
            self._log.warning("payout not covered", payout=str(payout.id), seconds=delay.total_seconds())
            with self._store.transaction("payout not covered"):
                self._store.payouts.save_not_covered(payout)
            raise PutOff(delay, "the platform's balance at the payment provider does not cover it") from refusal
        else:
            self._end(payout.id, Status.PAID, reference=reference)

    @retry_conflicts
    def _begin(self, payout_id: UUID) -> Payout | None:
        """Return the payout, marked as sent; None when it is over, or held."""
        known = self._store.payouts.get(payout_id)
        if known is None:
            return None
        with self._store.transaction("payout sending"):
            is_held = self._store.payout_holds.lock_for_payout(known.payout.seller_id)
            payout = self._store.payouts.lock(payout_id)
            if payout is None or not may_send(payout, is_held=is_held):
                return None
            self._store.payouts.begin(payout_id)
        return payout

    @retry_conflicts
    def _end(self, payout_id: UUID, status: Status, *, reference: str = "", error: str = "") -> None:
        """Store the outcome, unless somebody else has."""
        with self._store.transaction("payout sent"):
            payout = self._store.payouts.lock(payout_id)
            if payout is None or payout.status is not Status.PENDING:
                return
            after = end(payout, status, reference=reference, error=error)
            now = self._store.now()
            self._store.payouts.save_outcome(after)
            self._store.feed.add_of_payout(outcome_type(after), after, now)
            post = payout_paid if status is Status.PAID else payout_failed
            self._store.ledger.post(post(payout.id, payout.seller_id, payout.amount), now)
