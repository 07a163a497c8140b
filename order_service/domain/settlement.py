"""What becomes of an order's money: pure changes of the order, each with what goes to the ledger and to the provider.

An order from before there were payments has no money behind it, and nothing is done here for it.
"""

from dataclasses import replace
from decimal import Decimal

from order_service.domain import ledger
from order_service.domain.commission import commission
from order_service.domain.order import Change, Order, Task
from order_service.domain.payment import PaymentStatus

NOTHING = Decimal(0)


def begin_capture(order: Order) -> Order:
    """An order that is being accepted: until the payment provider has answered, nobody can do anything to it."""
    return replace(order, payment_status=PaymentStatus.CAPTURING)


def capture(order: Order) -> Change:
    """The provider has taken the money from the card: it is in escrow."""
    if order.payment_status is None:
        return Change(order)
    posting = ledger.captured(order.id, order.seller_id, order.price, _share(order))
    return Change(replace(order, payment_status=PaymentStatus.CAPTURED), postings=(posting,))


def void(order: Order) -> Change:
    """The hold on the card is to be let go of."""
    if order.payment_status is None:
        return Change(order)
    return Change(replace(order, payment_status=PaymentStatus.AUTHORIZED), task=Task.VOID)


def voided(order: Order) -> Change:
    """The hold on the card has been let go of."""
    return Change(replace(order, payment_status=PaymentStatus.VOIDED))


def give_back(order: Order) -> Change:
    """All of the money in escrow is to go back to the buyer."""
    if order.payment_status is None:
        return Change(order)
    by_bank = min(order.price, order.charged_back)
    posting = ledger.cancelled(order.id, order.seller_id, order.price, _share(order), by_bank)
    return _giving_back(order, order.price, by_bank, posting)


def release(order: Order, refund: Decimal) -> Change:
    """Of the money in escrow `refund` is to go back to the buyer; the rest is the seller's, less commission."""
    if order.payment_status is None:
        return Change(order)
    by_bank = min(refund, order.charged_back)
    posting = ledger.released(
        order.id, order.seller_id, order.price, _share(order), refund, order.commission_percent, by_bank
    )
    return _giving_back(order, refund, by_bank, posting)


def refunded(order: Order, amount: Decimal, *, by_bank: bool) -> Change:
    """The buyer has got this much back: from the payment provider, or from their bank before it."""
    total = order.refunded + amount
    posting = ledger.refund_met_by_bank(order.id, amount) if by_bank else ledger.refunded(order.id, amount)
    settled = replace(order, refunded=total, payment_status=refund_status(order.price, total))
    return Change(settled, postings=(posting,))


def charge_back(order: Order, chargeback_id: str, amount: Decimal) -> Change:
    """The buyer's bank has taken this much back from us."""
    taken = replace(order, charged_back=min(order.price, order.charged_back + amount))
    return Change(taken, postings=(ledger.charged_back(chargeback_id, order.id, amount),))


def win_back(order: Order, chargeback_id: str, amount: Decimal) -> Change:
    """The bank has given this much back to us. What was settled with its help stays as it was."""
    left = order.charged_back if order.is_final else max(NOTHING, order.charged_back - amount)
    posting = ledger.chargeback_won(chargeback_id, order.id, amount)
    return Change(replace(order, charged_back=left), postings=(posting,))


def _share(order: Order) -> Decimal:
    """The marketplace's part of the whole price, which is set aside while the money is in escrow."""
    return commission(order.price, order.commission_percent)


def _giving_back(order: Order, refund: Decimal, by_bank: Decimal, posting: ledger.Posting) -> Change:
    """The order with a refund decided, of which the buyer's bank has seen to `by_bank` already."""
    status = refund_status(order.price, by_bank)
    decided = replace(order, refund_due=refund, refunded=by_bank, payment_status=status)
    return Change(decided, postings=(posting,), task=Task.REFUND if refund > by_bank else None)


def refund_status(price: Decimal, refunded: Decimal) -> PaymentStatus:
    """What a captured payment is called of which so much was given back."""
    if not refunded:
        return PaymentStatus.CAPTURED
    return PaymentStatus.REFUNDED if refunded == price else PaymentStatus.PARTIALLY_REFUNDED
