"""The money of an order: each function returns the order after one step, with its ledger postings and payment task.

An order from before there were payments has no money behind it: nothing is posted for it.
"""

from dataclasses import replace
from decimal import Decimal

from order_service.domain import ledger
from order_service.domain.commission import commission
from order_service.domain.order import Change, Order, PaymentTask
from order_service.domain.payment import PaymentStatus

NOTHING = Decimal(0)


def begin_capture(order: Order) -> Order:
    """Return the order as being captured: no action is open until the payment provider has answered."""
    return replace(order, payment_status=PaymentStatus.CAPTURING)


def capture(order: Order) -> Change:
    """Return the order after the capture: the money is in escrow."""
    if order.payment_status is None:
        return Change(order)
    posting = ledger.captured(order.id, order.seller_id, order.price, _commission(order))
    return Change(replace(order, payment_status=PaymentStatus.CAPTURED), postings=(posting,))


def void(order: Order) -> Change:
    """Return the order with its card authorization to be voided."""
    if order.payment_status is None:
        return Change(order)
    return Change(replace(order, payment_status=PaymentStatus.AUTHORIZED), payment_task=PaymentTask.VOID)


def voided(order: Order) -> Change:
    """Return the order after its card authorization was voided."""
    return Change(replace(order, payment_status=PaymentStatus.VOIDED))


def captured_though_cancelled(order: Order) -> Change:
    """Return a cancelled order whose capture has succeeded after all: the money is in escrow, to be refunded."""
    after_capture = capture(order)
    refund = refund_in_full(after_capture.order)
    return replace(refund, postings=after_capture.postings + refund.postings)


def refund_in_full(order: Order) -> Change:
    """Return the order with everything in escrow to be refunded."""
    if order.payment_status is None:
        return Change(order)
    by_bank = min(order.price, order.charged_back)
    posting = ledger.cancelled(order.id, order.seller_id, order.price, _commission(order), by_bank)
    return _decide_refund(order, order.price, by_bank, posting)


def release(order: Order, refund: Decimal) -> Change:
    """Return the order with its escrow released: `refund` goes to the buyer, the rest less commission to the seller."""
    if order.payment_status is None:
        return Change(order)
    by_bank = min(refund, order.charged_back)
    posting = ledger.released(
        order.id, order.seller_id, order.price, _commission(order), refund, order.commission_percent, by_bank
    )
    return _decide_refund(order, refund, by_bank, posting)


def refunded(order: Order, amount: Decimal, *, by_bank: bool) -> Change:
    """Return the order after `amount` was refunded by the payment provider, or before that by the buyer's bank."""
    total = order.refunded + amount
    posting = ledger.refunded_by_bank(order.id, amount) if by_bank else ledger.refunded(order.id, amount)
    after = replace(order, refunded=total, payment_status=refund_status(order.price, total))
    return Change(after, postings=(posting,))


def record_chargeback(order: Order, chargeback_id: str, amount: Decimal) -> Change:
    """Return the order after the buyer's bank took `amount` back."""
    after = replace(order, charged_back=min(order.price, order.charged_back + amount))
    return Change(after, postings=(ledger.charged_back(chargeback_id, order.id, amount),))


def reverse_chargeback(order: Order, chargeback_id: str, amount: Decimal) -> Change:
    """Return the order after the bank returned `amount` to us. A settlement that counted on the chargeback stays."""
    remaining = order.charged_back if order.is_final else max(NOTHING, order.charged_back - amount)
    posting = ledger.chargeback_won(chargeback_id, order.id, amount)
    return Change(replace(order, charged_back=remaining), postings=(posting,))


def _commission(order: Order) -> Decimal:
    """Return the commission on the whole price, which is set aside while the money is in escrow."""
    return commission(order.price, order.commission_percent)


def _decide_refund(order: Order, refund: Decimal, by_bank: Decimal, posting: ledger.Posting) -> Change:
    """Return the order with a refund decided, of which the buyer's bank has returned `by_bank` already."""
    status = refund_status(order.price, by_bank)
    after = replace(order, refund_due=refund, refunded=by_bank, payment_status=status)
    return Change(after, postings=(posting,), payment_task=PaymentTask.REFUND if refund > by_bank else None)


def refund_status(price: Decimal, refunded: Decimal) -> PaymentStatus:
    """Return the status of a captured payment of which this much was refunded. Both in major units."""
    if not refunded:
        return PaymentStatus.CAPTURED
    return PaymentStatus.REFUNDED if refunded == price else PaymentStatus.PARTIALLY_REFUNDED
