"""Record what the payment provider reports about a payout that it has made."""

from __future__ import annotations

import structlog

from order_service.domain.feed import outcome_type
from order_service.domain.ledger import payout_reversed
from order_service.domain.payout import Status, reverse
from order_service.payments.gateway import TransferReport
from order_service.store.store import Store
from servicekit.errors import Unavailable


class RecordTransfer:
    """Give back to the seller the part of a payout that came back to the platform. Repeated reports do no harm."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._log = structlog.get_logger()

    def execute(self, report: TransferReport) -> None:
        """Store the report in the caller's transaction. Raises Unavailable when it has to come again later."""
        if not report.reversed:
            return
        payout = self._store.payouts.lock(report.payout_id)
        if payout is None:
            self._log.warning("report of a payout that is not ours", payout=str(report.payout_id))
            return
        # The report can arrive before the payout's outcome is stored.
        if payout.status is Status.PENDING:
            raise Unavailable
        after = reverse(payout, report.reversed)
        if after.reversed > payout.reversed:
            self._store.payouts.save_reversal(after)
            posting = payout_reversed(payout.id, payout.seller_id, after.reversed - payout.reversed, after.reversed)
            now = self._store.now()
            self._store.ledger.post(posting, now)
            if after.status is Status.FAILED and payout.status is not Status.FAILED:
                self._store.feed.add_of_payout(outcome_type(after), after, now)
