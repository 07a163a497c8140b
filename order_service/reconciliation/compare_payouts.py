"""The comparison of a payout with the ledger and the payment provider."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import chain

from order_service.domain import ledger
from order_service.domain.ledger import Account, Kind, Line
from order_service.domain.payout import Payout, Status
from order_service.payments.gateway import TransferReport
from order_service.reconciliation.compare_sums import compare_sums
from order_service.store.audit import PayoutRecords

NOTHING = Decimal(0)


def compare_payout(records: PayoutRecords, transfers: Sequence[TransferReport]) -> list[str]:
    """Return the differences between the records of a payout and the provider's transfers, which should be one."""
    payout = records.payout
    own = next((each for each in transfers if is_own_transfer(payout, each)), None)
    others = list(other_transfers(payout, transfers))
    texts = [*compare_sums(records.sums, _expected(records)), *others]
    # Its own one is listed at another time.
    is_elsewhere = own is None and bool(others)
    if records.is_pending or is_elsewhere:
        return texts
    if payout.status is Status.PENDING and not records.is_held:
        texts.append("is PENDING, and has no outbox row")
    # A payout that came back in full is FAILED, and was paid before.
    was_paid = payout.status is Status.PAID or payout.reversed
    due = (payout.amount, payout.reversed) if was_paid else None
    paid = (own.amount, own.reversed) if own else None
    if paid != due:
        ours = _words(due or (payout.amount,))
        texts.append(f"is {payout.status} with {ours}, and the provider has paid {_words(paid)}")
    return texts


def is_own_transfer(payout: Payout, transfer: TransferReport) -> bool:
    """Return whether a transfer may be the payout's own one: it is, or we know none."""
    return transfer.reference == payout.reference or not payout.reference


def other_transfers(payout: Payout, transfers: Sequence[TransferReport]) -> Iterator[str]:
    """Yield the transfers beside the payout's own one, unless all their money is back."""
    own = next((each for each in transfers if is_own_transfer(payout, each)), None)
    for each in transfers:
        if each is not own and each.amount > each.reversed:
            yield f"has another transfer at the provider: {each.reference} of {each.amount}"


def _expected(records: PayoutRecords) -> Iterator[Line]:
    """Yield the sums of the ledger entries that a payout must have."""
    payout = records.payout
    fields = (payout.id, payout.seller_id, payout.amount)
    postings = [ledger.payout_requested(*fields)]
    if payout.status is Status.PAID:
        postings.append(ledger.payout_paid(*fields))
        if payout.reversed:
            postings.append(ledger.payout_reversed(payout.id, payout.seller_id, payout.reversed, payout.reversed))
    if payout.status is Status.FAILED:
        postings.append(ledger.payout_failed(*fields))
    sums: dict[tuple[Account, Kind | None], Decimal] = {}
    for line in chain.from_iterable(posting.lines for posting in postings):
        slot = (line.account, line.kind)
        sums[slot] = sums.get(slot, NOTHING) + line.amount
    for (account, kind), amount in sums.items():
        if amount:
            yield Line(account, amount, payout.seller_id, kind)


def _words(amounts: tuple[Decimal, ...] | None) -> str:
    """Return an amount, and the part of it that came back, in words."""
    if amounts is None:
        return "nothing"
    amount, *reversed_amounts = amounts
    return " less ".join([str(amount), *(str(each) for each in reversed_amounts if each)])
