"""The comparison of an order's payment with the payment provider's own record of it, each part by its id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from order_service.domain.payment import PaymentStatus
from order_service.domain.refund import RefundState
from order_service.domain.settlement import NOTHING
from order_service.payments.gateway import ProviderPayment
from order_service.store.audit import OrderRecords

# The parts of a payment: amounts and states in words, by their names.
_Parts = Mapping[str, str]


def compare_payment(records: OrderRecords, payment: ProviderPayment | None) -> Iterator[str]:
    """Yield the differences between our records of a payment and the provider's."""
    order = records.order
    if payment is None:
        yield "is not in the provider's records"
        return
    authorized = order.price if order.payment_status is PaymentStatus.AUTHORIZED else NOTHING
    comparisons = (
        ("reference", order.payment_reference, payment.report.reference),
        ("authorized", authorized, payment.authorized),
        ("captured", order.price if order.is_captured else NOTHING, payment.captured),
    )
    for name, ours, theirs in comparisons:
        if ours != theirs:
            yield f"has {ours} {name} in our records and {theirs} in the provider's"
    if records.refunds or payment.report.refunds:
        yield from _compare_parts(*_refunds(records, payment))
    if records.chargebacks or payment.report.chargebacks:
        yield from _compare_parts(
            {f"chargeback {each.id}": _words(each.amount, each.state) for each in records.chargebacks},
            {f"chargeback {each.id}": _words(each.amount, each.state) for each in payment.report.chargebacks},
        )
    fees = {fee.id: fee.amount for fee in payment.report.fees}
    if fees != records.fees:
        yield from _compare_parts(
            {f"fee {fee}": str(amount) for fee, amount in records.fees.items()},
            {f"fee {fee}": str(amount) for fee, amount in fees.items()},
        )


def other_payments(reference: str, payments: Sequence[ProviderPayment]) -> Iterator[str]:
    """Yield the payments of an order beside the one with our reference, when the provider has money of them."""
    for each in payments:
        if each.report.reference != reference and is_stray(each):
            amount = each.authorized or each.captured
            yield f"has another payment at the provider: {each.report.reference} of {amount}"


def is_stray(payment: ProviderPayment) -> bool:
    """Return whether the provider has money of a payment. Without its order that is a difference."""
    return bool(payment.authorized or payment.captured)


def describe_stray(payment: ProviderPayment) -> str:
    """Return the difference of a payment without an order."""
    return f"does not exist, and the provider has {payment.authorized or payment.captured}"


def _refunds(records: OrderRecords, payment: ProviderPayment) -> tuple[_Parts, _Parts]:
    """Return our refunds and the provider's, those that are the same under the same name.

    A refund that the provider may not know is left out: one that was only requested, and one that it never named.
    """
    ids = {each.refund_id: each.id for each in payment.report.refunds if each.refund_id is not None}
    ours = {
        f"refund {each.provider_id or ids.get(each.id) or each.id}": _words(each.amount, each.state)
        for each in records.refunds
        if each.id in ids or each.provider_id or each.state not in (RefundState.REQUESTED, RefundState.FAILED)
    }
    theirs = {f"refund {each.id}": _words(each.amount, each.state) for each in payment.report.refunds}
    return ours, theirs


def _compare_parts(ours: _Parts, theirs: _Parts) -> Iterator[str]:
    for name in dict.fromkeys((*ours, *theirs)):
        our_words, their_words = ours.get(name, "none"), theirs.get(name, "none")
        if our_words != their_words:
            yield f"has {name}: {our_words} in our records, {their_words} in the provider's"


def _words(amount: Decimal, state: str) -> str:
    return f"{amount.normalize():f} {state}"
