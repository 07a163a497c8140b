"""Reconciliation: `python -m order_service.reconciliation` recomputes everything and prints each difference.

Orders are compared with their histories, the ledger and the payment provider's own records, payouts with the last two,
and the ledger with itself. It runs beside a working marketplace: pending work is no difference, and a difference is
reported only when several checks in a row find it. Status 1 when there is a difference, 2 when a check was impossible.
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
from order_service.domain.chargeback import ChargebackState
from order_service.domain.commission import commission
from order_service.domain.ledger import Account, Line, Posting
from order_service.domain.lifecycle import TRANSITIONS
from order_service.domain.order import Status
from order_service.domain.payment import PaymentStatus
from order_service.domain.payout import Status as PayoutStatus
from order_service.domain.settlement import refund_status
from order_service.payments.gateway import Gateway, ProviderPayment
from order_service.payments.providers import payments_from
from order_service.settings import PaymentSettings
from order_service.store.audit import Audit, OrderRecords, PayoutRecords
from servicekit.database import Database
from servicekit.errors import MarketplaceError
from servicekit.settings import load

NOTHING = Decimal(0)
CHECK_INTERVAL_SECONDS = 2.0
CHECKS = 3
STEPS = {(row.from_status, row.action, row.by, row.to_status) for row in TRANSITIONS}
# Statuses of a payment that was captured.
CAPTURED = frozenset((PaymentStatus.CAPTURED, PaymentStatus.REFUNDED, PaymentStatus.PARTIALLY_REFUNDED))


@dataclass
class Findings:
    """The counts and totals of a check, and its differences."""

    orders: int = 0
    payouts: int = 0
    transactions: int = 0
    pending: int = 0
    totals: dict[str, Decimal] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


def check(database: Database, gateway: Gateway) -> Findings:
    """Check once. Raises MarketplaceError when a database or the provider does not answer."""
    audit, findings = Audit(database), Findings()
    payments = {payment.order_id: payment for payment in gateway.list_payments()}
    payout_amounts = {payout.payout_id: payout.amount for payout in gateway.list_payouts()}
    with audit.snapshot():
        findings.differences += audit.ledger_faults()
        for records in audit.orders():
            findings.orders += 1
            findings.pending += records.is_pending
            payment = payments.pop(records.order.id, None)
            findings.differences += [f"order {records.order.id}: {text}" for text in _compare_order(records, payment)]
        for payout in audit.payouts():
            findings.payouts += 1
            findings.pending += payout.is_pending
            amount = payout_amounts.pop(payout.payout.id, None)
            findings.differences += [f"payout {payout.payout.id}: {text}" for text in _compare_payout(payout, amount)]
        orders_with_attempts = audit.attempts()
        findings.differences += [
            f"order {payment.order_id}: does not exist, and the provider has {payment.authorized or payment.captured}"
            for payment in payments.values()
            if payment.order_id not in orders_with_attempts and (payment.authorized or payment.captured)
        ]
        findings.differences += [
            f"payout {payout_id}: does not exist, and the provider has paid it" for payout_id in payout_amounts
        ]
        findings.differences += [
            f"order {order.order_id}: could not be moved by time, tries: {order.tries}, {order.error}"
            for order in audit.put_off_orders()
        ]
        findings.totals, findings.transactions = audit.totals(), audit.transactions()
    return findings


def check_repeatedly(database: Database, gateway: Gateway) -> Findings:
    """Check until there is no difference, three times at most. Return the differences that every check found."""
    findings = check(database, gateway)
    for _ in range(CHECKS - 1):
        if not findings.differences:
            break
        sleep(CHECK_INTERVAL_SECONDS)
        previous = findings.differences
        findings = check(database, gateway)
        findings.differences = [difference for difference in findings.differences if difference in previous]
    return findings


def _compare_order(records: OrderRecords, payment: ProviderPayment | None) -> Iterator[str]:
    yield from _compare_history(records)
    if records.order.payment_status is None:
        if records.postings:
            yield "is from before there were payments, and has ledger transactions"
        return
    yield from _check_payment(records)
    yield from _compare_ledger(records.postings, _expected_postings(records))
    if not records.is_pending:
        yield from _compare_provider(records, payment)


def _compare_history(records: OrderRecords) -> Iterator[str]:
    order, events = records.order, records.events
    if len(events) != order.version:
        yield f"has version {order.version} and a history of {len(events)} rows"
    if not events or (events[0].action, events[0].from_status, events[0].to_status) != ("place", None, Status.PENDING):
        yield "has a history that does not begin with its placing"
        return
    for before, event in pairwise(events):
        step = (event.from_status, event.action, event.by, event.to_status)
        if event.from_status != before.to_status or step not in STEPS:
            path = f"{before.to_status} to {event.to_status} by {event.action} of {event.by}"
            yield f"went from {path}: no such row in the table"
    if events[-1].to_status != order.status:
        yield f"is {order.status}, and its history ends with {events[-1].to_status}"


def _check_payment(records: OrderRecords) -> Iterator[str]:
    """Yield where the payment does not fit the order, and where a payment task is due that nobody has."""
    order = records.order
    status = order.payment_status
    allowed = {
        Status.PENDING: {PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURING},
        Status.IN_PROGRESS: {PaymentStatus.CAPTURED},
        Status.DELIVERED: {PaymentStatus.CAPTURED},
        Status.DISPUTED: {PaymentStatus.CAPTURED},
        Status.COMPLETED: CAPTURED,
        Status.CANCELLED: {*CAPTURED, PaymentStatus.AUTHORIZED, PaymentStatus.VOIDED},
    }[order.status]
    if status not in allowed:
        yield f"is {order.status}, and its payment {status}"
    if status in CAPTURED and status is not refund_status(order.price, order.refunded):
        yield f"has {order.refunded} of {order.price} refunded, and its payment is {status}"
    if order.status is Status.CANCELLED and status in CAPTURED and order.refund_due != order.price:
        yield f"is CANCELLED, and only {order.refund_due} of {order.price} are to be refunded"
    is_due = order.refunded < order.refund_due or status is PaymentStatus.CAPTURING
    is_due = is_due or (order.status is Status.CANCELLED and status is PaymentStatus.AUTHORIZED)
    if is_due and not records.is_pending:
        refunds = f"{order.refunded} of {order.refund_due} refunded"
        yield f"waits with its payment {status}, {refunds}, and nothing is pending"


def _expected_postings(records: OrderRecords) -> Iterator[Posting]:
    """Yield the postings that an order must have."""
    order = records.order
    for chargeback in records.chargebacks:
        was_posted = f"chargeback:{chargeback.id}" in records.postings or chargeback.state is not ChargebackState.WON
        if was_posted:
            yield ledger.charged_back(chargeback.id, order.id, chargeback.amount)
            if chargeback.state is ChargebackState.WON:
                yield ledger.chargeback_won(chargeback.id, order.id, chargeback.amount)
    if order.payment_status not in CAPTURED:
        return
    full_commission = commission(order.price, order.commission_percent)
    yield ledger.captured(order.id, order.seller_id, order.price, full_commission)
    by_bank = _refunded_by_bank(records)
    if order.status is Status.COMPLETED:
        yield ledger.released(
            order.id,
            order.seller_id,
            order.price,
            full_commission,
            order.refund_due,
            order.commission_percent,
            by_bank,
        )
    elif order.status is Status.CANCELLED:
        yield ledger.cancelled(order.id, order.seller_id, order.price, full_commission, by_bank)
    later = order.refunded - by_bank
    if later:
        is_by_bank = Account.CHARGEBACKS in {line.account for line in records.postings.get(f"refund:{order.id}", [])}
        yield ledger.refunded_by_bank(order.id, later) if is_by_bank else ledger.refunded(order.id, later)


def _refunded_by_bank(records: OrderRecords) -> Decimal:
    """Return the part of the refund that the bank had made when the order ended, which only the ledger records."""
    order = records.order
    lines = [*records.postings.get(f"release:{order.id}", []), *records.postings.get(f"cancel:{order.id}", [])]
    amount = sum((line.amount for line in lines if line.account is Account.CHARGEBACKS), NOTHING)
    return min(amount, order.refund_due)


def _compare_ledger(actual: dict[str, list[Line]], expected: Iterator[Posting]) -> Iterator[str]:
    expected_lines = {posting.reference: posting.lines for posting in expected}
    for reference in expected_lines.keys() | actual.keys():
        if reference not in actual:
            yield f"is not in the ledger with {reference}"
        elif reference not in expected_lines:
            yield f"is in the ledger with {reference}, which has not happened"
        elif Counter(expected_lines[reference]) != Counter(actual[reference]):
            yield f"is in the ledger with other amounts for {reference} than expected"


def _compare_provider(records: OrderRecords, payment: ProviderPayment | None) -> Iterator[str]:
    order = records.order
    if payment is None:
        yield "is not in the provider's records"
        return
    refund = records.postings.get(f"refund:{order.id}", [])
    charged_back = sum(
        (chargeback.amount for chargeback in records.chargebacks if chargeback.state is not ChargebackState.WON),
        NOTHING,
    )
    refunded = sum((line.amount for line in refund if line.account is Account.BUYERS), NOTHING)
    comparisons = (
        ("reference", order.payment_reference, payment.reference),
        (
            "authorized",
            order.price if order.payment_status is PaymentStatus.AUTHORIZED else NOTHING,
            payment.authorized,
        ),
        ("captured", order.price if order.payment_status in CAPTURED else NOTHING, payment.captured),
        ("refunded", refunded, payment.refunded),
        ("charged back", charged_back, payment.charged_back),
    )
    for name, ours, theirs in comparisons:
        if ours != theirs:
            yield f"has {ours} {name} in our records and {theirs} in the provider's"


def _compare_payout(records: PayoutRecords, paid: Decimal | None) -> Iterator[str]:
    payout = records.payout
    fields = (payout.id, payout.seller_id, payout.amount)
    expected = [ledger.payout_requested(*fields)]
    if payout.status is PayoutStatus.PAID:
        expected.append(ledger.payout_paid(*fields))
    if payout.status is PayoutStatus.FAILED:
        expected.append(ledger.payout_failed(*fields))
    yield from _compare_ledger(records.postings, iter(expected))
    if records.is_pending:
        return
    if payout.status is PayoutStatus.PENDING:
        yield "is PENDING, and has no outbox row"
    due = payout.amount if payout.status is PayoutStatus.PAID else None
    if paid != due:
        yield f"is {payout.status} with {payout.amount}, and the provider has paid {paid or 'nothing'}"


def report(findings: Findings) -> str:
    """Return the report for the terminal."""
    counts = f"{findings.orders:,} orders, {findings.payouts:,} payouts, {findings.transactions:,} ledger transactions"
    lines = [f"{counts}; {findings.pending:,} pending"]
    lines += [f"  {name:<18} {amount:>16,}" for name, amount in findings.totals.items()]
    lines += [f"  sum                {sum(findings.totals.values(), NOTHING):>16,}"] if findings.totals else []
    lines += [f"DIFFERENCE {difference}" for difference in findings.differences]
    lines.append(f"{len(findings.differences):,} differences" if findings.differences else "no differences")
    return "\n".join(lines)


def main() -> int:
    """Check the databases that the environment names."""
    settings = load(PaymentSettings)
    payments, _ = payments_from(settings)
    try:
        findings = check_repeatedly(Database(settings.order_database_url), payments.gateway)
    except MarketplaceError as error:
        print(f"The records could not be read: {error.__cause__ or error}", file=sys.stderr)
        return 2
    print(report(findings))
    return int(bool(findings.differences))


if __name__ == "__main__":
    sys.exit(main())
