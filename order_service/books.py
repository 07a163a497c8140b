"""Checks the books: `python -m order_service.books` recomputes everything and prints each difference.

Orders are held against their histories, the ledger and the payment provider's own book, payouts against the last two,
and the ledger against itself. It runs beside a marketplace that works: what is under way is told apart, and what looks
wrong is looked at again before it is said. Status 1 when something is wrong, 2 when it could not be found out.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from time import sleep

from order_service.domain import ledger
from order_service.domain.commission import commission
from order_service.domain.ledger import Account, Line, Posting
from order_service.domain.lifecycle import TRANSITIONS
from order_service.domain.order import Status
from order_service.domain.payment import PaymentStatus
from order_service.domain.payout import Status as PayoutStatus
from order_service.domain.settlement import refund_status
from order_service.payments.gateway import ChargebackState, Gateway, ProviderPayment
from order_service.payments.providers import payments_from
from order_service.settings import PaymentSettings
from order_service.store.audit import Audit, OrderFile, PayoutFile
from servicekit.database import Database
from servicekit.errors import MarketplaceError
from servicekit.settings import load

NOTHING = Decimal(0)
AGAIN_AFTER_SECONDS = 2.0
LOOKS = 3
STEPS = {(row.came_from, row.action, row.by, row.to) for row in TRANSITIONS}
# The money was taken from the card.
TAKEN = frozenset((PaymentStatus.CAPTURED, PaymentStatus.REFUNDED, PaymentStatus.PARTIALLY_REFUNDED))


@dataclass
class Findings:
    """What was looked at, and what is wrong."""

    orders: int = 0
    payouts: int = 0
    transactions: int = 0
    under_way: int = 0
    totals: dict[str, Decimal] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


def check(database: Database, gateway: Gateway) -> Findings:
    """Looks once. Raises MarketplaceError when a database or the provider does not answer."""
    audit, found = Audit(database), Findings()
    paid = {line.order_id: line for line in gateway.payments()}
    paid_out = {line.payout_id: line.amount for line in gateway.payouts()}
    with audit.snapshot():
        found.differences += audit.faults()
        for each in audit.orders():
            found.orders += 1
            found.under_way += each.is_under_way
            line = paid.pop(each.order.id, None)
            found.differences += [f"order {each.order.id}: {wrong}" for wrong in _order(each, line)]
        for payout in audit.payouts():
            found.payouts += 1
            found.under_way += payout.is_under_way
            amount = paid_out.pop(payout.payout.id, None)
            found.differences += [f"payout {payout.payout.id}: {wrong}" for wrong in _payout(payout, amount)]
        known = audit.attempts()
        found.differences += [
            f"order {line.order_id}: is not there, and the provider has {line.held or line.captured} of it"
            for line in paid.values()
            if line.order_id not in known and (line.held or line.captured)
        ]
        found.differences += [f"payout {name}: is not there, and the provider has paid it" for name in paid_out]
        found.totals, found.transactions = audit.totals(), audit.transactions()
    return found


def check_patiently(database: Database, gateway: Gateway) -> Findings:
    """Looks until nothing is wrong, three times at most: what is wrong each time is."""
    found = check(database, gateway)
    for _ in range(LOOKS - 1):
        if not found.differences:
            break
        sleep(AGAIN_AFTER_SECONDS)
        again = check(database, gateway)
        again.differences = [wrong for wrong in again.differences if wrong in found.differences]
        found = again
    return found


def _order(file: OrderFile, line: ProviderPayment | None) -> Iterator[str]:
    yield from _history(file)
    if file.order.payment_status is None:
        if file.postings:
            yield "is from before there were payments, and the ledger has some of it"
        return
    yield from _payment(file)
    yield from _ledger(file.postings, _expected(file))
    if not file.is_under_way:
        yield from _provider(file, line)


def _history(file: OrderFile) -> Iterator[str]:
    order, events = file.order, file.events
    if len(events) != order.version:
        yield f"has version {order.version} and a history of {len(events)} rows"
    if not events or (events[0].action, events[0].came_from, events[0].to) != ("place", None, Status.PENDING):
        yield "has a history that does not begin with its placing"
        return
    for before, event in pairwise(events):
        if event.came_from != before.to or (event.came_from, event.action, event.by, event.to) not in STEPS:
            yield f"went from {before.to} to {event.to} by {event.action} of {event.by}: no such row in the table"
    if events[-1].to != order.status:
        yield f"is {order.status}, and its history ends with {events[-1].to}"


def _payment(file: OrderFile) -> Iterator[str]:
    """Whether the payment's state fits the order's, and what is owed is on its way."""
    order = file.order
    status = order.payment_status
    allowed = {
        Status.PENDING: {PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURING},
        Status.IN_PROGRESS: {PaymentStatus.CAPTURED},
        Status.DELIVERED: {PaymentStatus.CAPTURED},
        Status.DISPUTED: {PaymentStatus.CAPTURED},
        Status.COMPLETED: TAKEN,
        Status.CANCELLED: {*TAKEN, PaymentStatus.AUTHORIZED, PaymentStatus.VOIDED},
    }[order.status]
    if status not in allowed:
        yield f"is {order.status}, and its payment {status}"
    if status in TAKEN and status is not refund_status(order.price, order.refunded):
        yield f"has {order.refunded} of {order.price} refunded, and its payment is {status}"
    if order.status is Status.CANCELLED and status in TAKEN and order.refund_due != order.price:
        yield f"is CANCELLED, and only {order.refund_due} of {order.price} are to go back"
    is_owed = order.refunded < order.refund_due or status is PaymentStatus.CAPTURING
    is_owed = is_owed or (order.status is Status.CANCELLED and status is PaymentStatus.AUTHORIZED)
    if is_owed and not file.is_under_way:
        yield f"waits with its payment {status}, {order.refunded} of {order.refund_due} refunded, and nobody is at it"


def _expected(file: OrderFile) -> Iterator[Posting]:
    """What the ledger has to have of an order."""
    order = file.order
    for chargeback in file.chargebacks:
        was_taken = f"chargeback:{chargeback.id}" in file.postings or chargeback.state is not ChargebackState.WON
        if was_taken:
            yield ledger.charged_back(chargeback.id, order.id, chargeback.amount)
            if chargeback.state is ChargebackState.WON:
                yield ledger.chargeback_won(chargeback.id, order.id, chargeback.amount)
    if order.payment_status not in TAKEN:
        return
    share = commission(order.price, order.commission_percent)
    yield ledger.captured(order.id, order.seller_id, order.price, share)
    by_bank = _by_bank(file)
    if order.status is Status.COMPLETED:
        percent = order.commission_percent
        yield ledger.released(order.id, order.seller_id, order.price, share, order.refund_due, percent, by_bank)
    elif order.status is Status.CANCELLED:
        yield ledger.cancelled(order.id, order.seller_id, order.price, share, by_bank)
    later = order.refunded - by_bank
    if later:
        met = Account.CHARGEBACKS in {line.account for line in file.postings.get(f"refund:{order.id}", [])}
        yield ledger.refund_met_by_bank(order.id, later) if met else ledger.refunded(order.id, later)


def _by_bank(file: OrderFile) -> Decimal:
    """What of the refund the buyer's bank had seen to when the order ended: the ledger alone remembers that."""
    order = file.order
    ended = [*file.postings.get(f"release:{order.id}", []), *file.postings.get(f"cancel:{order.id}", [])]
    told = sum((line.amount for line in ended if line.account is Account.CHARGEBACKS), NOTHING)
    return min(told, order.refund_due)


def _ledger(actual: dict[str, list[Line]], expected: Iterator[Posting]) -> Iterator[str]:
    wanted = {posting.reference: posting.lines for posting in expected}
    for reference in wanted.keys() | actual.keys():
        if reference not in actual:
            yield f"is not in the ledger with {reference}"
        elif reference not in wanted:
            yield f"is in the ledger with {reference}, which has not happened"
        elif Counter(wanted[reference]) != Counter(actual[reference]):
            yield f"is in the ledger with other amounts for {reference} than it comes to"


def _provider(file: OrderFile, line: ProviderPayment | None) -> Iterator[str]:
    order = file.order
    if line is None:
        yield "is not in the provider's book"
        return
    refund = file.postings.get(f"refund:{order.id}", [])
    taken_back = sum((each.amount for each in file.chargebacks if each.state is not ChargebackState.WON), NOTHING)
    comparisons = (
        ("name", order.payment_reference, line.reference),
        ("held", order.price if order.payment_status is PaymentStatus.AUTHORIZED else NOTHING, line.held),
        ("captured", order.price if order.payment_status in TAKEN else NOTHING, line.captured),
        ("refunded", sum((each.amount for each in refund if each.account is Account.BUYERS), NOTHING), line.refunded),
        ("charged back", taken_back, line.charged_back),
    )
    for what, ours, theirs in comparisons:
        if ours != theirs:
            yield f"has {ours} {what} in our book and {theirs} in the provider's"


def _payout(file: PayoutFile, paid: Decimal | None) -> Iterator[str]:
    payout = file.payout
    told = (payout.id, payout.seller_id, payout.amount)
    expected = [ledger.payout_requested(*told)]
    if payout.status is PayoutStatus.PAID:
        expected.append(ledger.payout_paid(*told))
    if payout.status is PayoutStatus.FAILED:
        expected.append(ledger.payout_failed(*told))
    yield from _ledger(file.postings, iter(expected))
    if file.is_under_way:
        return
    if payout.status is PayoutStatus.PENDING:
        yield "is PENDING, and nobody is at it"
    due = payout.amount if payout.status is PayoutStatus.PAID else None
    if paid != due:
        yield f"is {payout.status} with {payout.amount}, and the provider has paid {paid or 'nothing'}"


def report(found: Findings) -> str:
    """What people read."""
    counts = f"{found.orders:,} orders, {found.payouts:,} payouts, {found.transactions:,} transactions in the ledger"
    lines = [f"{counts}; {found.under_way:,} of them under way"]
    lines += [f"  {name:<18} {amount:>16,}" for name, amount in found.totals.items()]
    lines += [f"  sum                {sum(found.totals.values(), NOTHING):>16,}"] if found.totals else []
    lines += [f"DIFFERENCE {wrong}" for wrong in found.differences]
    lines.append(f"{len(found.differences):,} differences" if found.differences else "no differences")
    return "\n".join(lines)


def main() -> int:
    """Checks the books that the environment names."""
    settings = load(PaymentSettings)
    payments, _ = payments_from(settings)
    try:
        found = check_patiently(Database(settings.order_database_url), payments.gateway)
    except MarketplaceError as error:
        print(f"The books could not be read: {error.__cause__ or error}", file=sys.stderr)
        return 2
    print(report(found))
    return int(bool(found.differences))


if __name__ == "__main__":
    sys.exit(main())
