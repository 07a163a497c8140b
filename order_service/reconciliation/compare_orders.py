"""The comparison of an order with its history, its records, the ledger and the payment provider."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from order_service.domain.chargeback import shown
from order_service.domain.lifecycle import TRANSITIONS, Action
from order_service.domain.order import Party, Status
from order_service.domain.payment import PaymentStatus
from order_service.domain.placing import STARTS
from order_service.domain.refund import RefundState
from order_service.domain.reminders import STATUSES
from order_service.domain.settlement import NOTHING, outstanding, position, refund_status, refunded_amount
from order_service.payments.gateway import ProviderPayment
from order_service.reconciliation.compare_payments import compare_payment, other_payments
from order_service.reconciliation.compare_sums import compare_sums
from order_service.store.audit import OrderRecords

STEPS = {(row.from_status, row.action, row.by, row.to_status) for row in TRANSITIONS}
# From the other statuses a chargeback leads nowhere: it is only recorded.
MOVED_BY_CHARGEBACK = {row.from_status for row in TRANSITIONS if row.action is Action.CHARGEBACK}
STEPS |= {(status, Action.CHARGEBACK, Party.SYSTEM, status) for status in Status if status not in MOVED_BY_CHARGEBACK}
STEP_TEXTS = {" ".join(step) for step in STEPS}
STEP_TEXTS |= {f"{status} reminder:{reminder} {Party.SYSTEM} {status}" for reminder, status in STATUSES.items()}
# The status after each way to begin.
FIRST_STEPS = {f"- place {Party.BUYER} {start.status}": str(start.status) for start in STARTS.values()}
CAPTURED = frozenset((PaymentStatus.CAPTURED, PaymentStatus.REFUNDED, PaymentStatus.PARTIALLY_REFUNDED))
PAYMENTS = {
    Status.PENDING: frozenset((PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURING)),
    Status.IN_PROGRESS: CAPTURED,
    Status.DELIVERED: CAPTURED,
    Status.DISPUTED: CAPTURED,
    Status.COMPLETED: CAPTURED,
    Status.CANCELLED: CAPTURED | {PaymentStatus.AUTHORIZED, PaymentStatus.VOIDED},
}


def compare_order(records: OrderRecords, payments: Sequence[ProviderPayment]) -> list[str]:
    """Return the differences between the records of an order and its payments at the provider, which should be one."""
    texts = [*_compare_history(records), *_compare_lines(records)]
    if records.order.payment_status is None:
        if records.sums:
            texts.append("is from before there were payments, and has ledger transactions")
        return texts
    texts += _check_payment(records)
    texts += _compare_records(records)
    texts += compare_sums(records.sums, position(records.order))
    reference = records.order.payment_reference
    own = next((each for each in payments if each.report.reference == reference), None)
    others = list(other_payments(reference, payments))
    # Its own one is listed at another time.
    is_elsewhere = own is None and bool(others)
    if not (records.is_pending or is_elsewhere):
        texts += compare_payment(records, own)
    return texts + others


def _compare_history(records: OrderRecords) -> Iterator[str]:
    order, history = records.order, records.history
    if history is None:
        yield f"has version {order.version} and no history"
        return
    if history.length != order.version or history.version != order.version:
        yield f"has version {order.version} and a history of {history.length} rows"
    yield from _wrong_steps(history.steps)
    if not history.steps.endswith(f" {order.status}"):
        yield f"is {order.status}, and its history ends with {history.steps.rpartition(' ')[2]}"
    if history.refunded_later > order.refund_due:
        yield f"has refunds of {history.refunded_later} after its end, and {order.refund_due} to be refunded in all"


def _compare_lines(records: OrderRecords) -> Iterator[str]:
    if records.lines_sum is not None and records.lines_sum != records.order.price:
        yield f"has a price of {records.order.price}, and lines of {records.lines_sum}"


# Orders have few different histories.
@lru_cache(maxsize=10_000)
def _wrong_steps(steps: str) -> tuple[str, ...]:
    """Return the differences between the steps of a history, `from action by to` each, and the table."""
    first, *others = steps.split(",")
    if first not in FIRST_STEPS:
        return ("has a history that does not begin with its placing",)
    wrong, status = [], FIRST_STEPS[first]
    for step in others:
        from_status, action, by, to_status = step.split(" ")
        if from_status != status or step not in STEP_TEXTS:
            wrong.append(f"went from {status} to {to_status} by {action} of {by}: no such row in the table")
        status = to_status
    return tuple(wrong)


def _check_payment(records: OrderRecords) -> Iterator[str]:
    """Yield where the payment does not fit the order, and where a payment task is due that nobody has."""
    order = records.order
    status = order.payment_status
    if status not in PAYMENTS[order.status]:
        yield f"is {order.status}, and its payment {status}"
    if status in CAPTURED and status is not refund_status(order.price, refunded_amount(order)):
        yield f"has {refunded_amount(order)} of {order.price} refunded, and its payment is {status}"
    if order.status is Status.CANCELLED and status in CAPTURED and order.refund_due < order.price:
        yield f"is CANCELLED, and only {order.refund_due} of {order.price} are to be refunded"
    if records.is_pending:
        return
    waits_for_buyer = sum(
        (refund.amount for refund in records.refunds if refund.state is RefundState.REQUIRES_ACTION), NOTHING
    )
    missing = outstanding(order) - waits_for_buyer if status in CAPTURED else NOTHING
    if missing > 0:
        yield f"has {missing} of {order.refund_due} still to be refunded, and nothing is pending"
    is_void_due = order.status is Status.CANCELLED and status is PaymentStatus.AUTHORIZED
    if is_void_due or status is PaymentStatus.CAPTURING:
        yield f"is {order.status} with its payment {status}, and nothing is pending"


def _compare_records(records: OrderRecords) -> Iterator[str]:
    """Yield where the order differs from the sums of its refunds, chargebacks and fees."""
    order = records.order
    sums = (
        ("refunded", order.refunded, [each.amount for each in records.refunds if each.state.counts]),
        ("charged back", order.charged_back, [each.amount for each in records.chargebacks if each.state.holds_money]),
        ("of fees", order.fees, records.fees.values()),
    )
    for name, amount, amounts in sums:
        if amount != (total := sum(amounts, NOTHING)):
            yield f"has {amount} {name}, and records of {total}"
    if not records.chargebacks and order.chargeback_state is None:
        return
    newest = shown(records.chargebacks)
    expected = (newest.amount, newest.state, newest.evidence_due_by) if newest else (None, None, None)
    actual = (order.chargeback_amount, order.chargeback_state, order.evidence_due_by)
    if actual != expected:
        yield f"shows the chargeback {_words(actual)}, and its record is {_words(expected)}"


def _words(values: tuple[object, ...]) -> str:
    return ", ".join(str(value) for value in values if value is not None) or "none"
