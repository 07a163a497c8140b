"""The comparison of a payout with the ledger and the payment provider."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import chain

from order_service.domain import ledger
from order_service.domain.ledger import Account, Kind, Line
from order_service.domain.payout import Status
from order_service.payments.gateway import TransferReport
from order_service.reconciliation.compare_sums import compare_sums
from order_service.store.audit import PayoutRecords

NOTHING = Decimal(0)


def compare_payout(records: PayoutRecords, transfer: TransferReport | None) -> list[str]:
    """Return the differences between the records of a payout and the provider's transfer."""
    payout = records.payout
    texts = list(compare_sums(records.sums, _expected(records)))
    if records.is_pending:
        return texts
    if payout.status is Status.PENDING and not records.is_held:
        texts.append("is PENDING, and has no outbox row")
    due = payout.amount if payout.status is Status.PAID else None
    paid = transfer.amount if transfer else None
    if paid != due:
        texts.append(f"is {payout.status} with {payout.amount}, and the provider has paid {paid or 'nothing'}")
    return texts


def _expected(records: PayoutRecords) -> Iterator[Line]:
    """Yield the sums of the ledger entries that a payout must have."""
    payout = records.payout
    fields = (payout.id, payout.seller_id, payout.amount)
    postings = [ledger.payout_requested(*fields)]
    if payout.status is Status.PAID:
        postings.append(ledger.payout_paid(*fields))
    if payout.status is Status.FAILED:
        postings.append(ledger.payout_failed(*fields))
    sums: dict[tuple[Account, Kind | None], Decimal] = {}
    for line in chain.from_iterable(posting.lines for posting in postings):
        slot = (line.account, line.kind)
        sums[slot] = sums.get(slot, NOTHING) + line.amount
    for (account, kind), amount in sums.items():
        if amount:
            yield Line(account, amount, payout.seller_id, kind)
