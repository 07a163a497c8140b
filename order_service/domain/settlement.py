"""The money of an order: each function returns the order after one step, with its ledger posting and payment task.

`position` says where an order's money is, from the order alone. A step posts the difference of the positions before and
after it. So the ledger depends on the state of an order, and never on the order in which reports of it arrived.

An order from before there were payments has no money behind it: nothing is posted for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from order_service.domain import ledger
from order_service.domain.chargeback import Chargeback, shown
from order_service.domain.commission import commission
from order_service.domain.ledger import Account, Kind, Line
from order_service.domain.order import Change, Order, PaidBy, PaymentTask, Status
from order_service.domain.payment import PaymentStatus
from order_service.domain.refund import Refund
from servicekit.errors import Conflict, InvalidArgument, Violation

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Facts:
    """The payment provider's records of a captured payment, added up. In major units.

    `refunded` is the sum of the refunds that the provider took on, `charged_back` of the chargebacks that banks hold,
    `fees` of the provider's fees. `chargeback` is the one that the order shows.
    """

    refunded: Decimal = NOTHING
    charged_back: Decimal = NOTHING
    fees: Decimal = NOTHING
    chargeback: Chargeback | None = None

    @classmethod
    def of(cls, refunds: Collection[Refund], chargebacks: Collection[Chargeback], fees: Decimal) -> Facts:
        """Return the records of an order, added up. `fees` is the sum of the fees."""
        return cls(
            refunded=sum((refund.amount for refund in refunds if refund.state.counts), NOTHING),
            charged_back=sum((each.amount for each in chargebacks if each.state.holds_money), NOTHING),
            fees=fees,
            chargeback=shown(chargebacks),
        )


def begin_capture(order: Order) -> Order:
    """Return the order as being captured: no action is open until the payment provider has answered."""
    return replace(order, payment_status=PaymentStatus.CAPTURING)


def capture(order: Order) -> Change:
    """Return the order after the capture: the money is in escrow."""
    if order.payment_status is None:
        return Change(order)
    return _settle(order, replace(order, payment_status=PaymentStatus.CAPTURED), f"capture:{order.id}")


def void(order: Order) -> Change:
    """Return the order with its card authorization to be voided."""
    if order.payment_status is None:
        return Change(order)
    return Change(replace(order, payment_status=PaymentStatus.AUTHORIZED), payment_task=PaymentTask.VOID)


def voided(order: Order) -> Change:
    """Return the order after its card authorization was voided."""
    return Change(replace(order, payment_status=PaymentStatus.VOIDED))


def captured_though_cancelled(order: Order) -> Change:
    """Return a cancelled order whose capture has succeeded after all: the buyer is to be refunded in full."""
    after = replace(order, payment_status=PaymentStatus.CAPTURED, refund_due=order.price)
    return _settle(order, after, f"capture:{order.id}")


def refund_in_full(order: Order) -> Change:
    """Return the order CANCELLED, with everything in escrow to be refunded."""
    if order.payment_status is None:
        return Change(order)
    after = replace(order, status=Status.CANCELLED, refund_due=order.price)
    return _settle(order, after, f"cancel:{order.id}")


def release(order: Order, refund: Decimal) -> Change:
    """Return the order COMPLETED: `refund` goes to the buyer, the rest less commission to the seller."""
    if order.payment_status is None:
        return Change(order)
    after = replace(order, status=Status.COMPLETED, refund_due=refund)
    return _settle(order, after, f"release:{order.id}")


def refundable(order: Order) -> Decimal:
    """Return the part of a completed order's price that can still be refunded."""
    if order.payment_status is None or order.status is not Status.COMPLETED:
        return NOTHING
    return order.price - max(order.refund_due, order.refunded)


def refund(order: Order, amount: Decimal, paid_by: PaidBy) -> Change:
    """Return a completed order with a further refund, from the seller's balance or at the platform's cost.

    Raises InvalidArgument for more than the price, and Conflict for more than is left.
    """
    if amount > order.price:
        raise InvalidArgument([Violation("amount", f"must be at most the price, {order.price}")])
    if amount > refundable(order):
        raise Conflict(f"Only {refundable(order)} of this order can still be refunded")
    # Refunds that were made by hand, beyond all decisions, are the platform's from now on.
    by_hand = _overpaid(order)
    platform_refund = order.platform_refund + by_hand + (amount if paid_by is PaidBy.PLATFORM else NOTHING)
    after = replace(order, refund_due=order.refund_due + by_hand + amount, platform_refund=platform_refund)
    return _settle(order, after, f"refund:{order.id}:{order.postings + 1}")


def undo_refund(order: Order, amount: Decimal, paid_by: PaidBy) -> Change:
    """Return a completed order without a refund that the provider refuses for good."""
    platform_refund = order.platform_refund - (amount if paid_by is PaidBy.PLATFORM else NOTHING)
    after = replace(order, refund_due=order.refund_due - amount, platform_refund=platform_refund)
    return _settle(order, after, f"refund-failed:{order.id}:{order.postings + 1}")


def record(order: Order, facts: Facts) -> Change:
    """Return the order after reports of the payment provider."""
    shown = facts.chargeback
    after = replace(
        order,
        refunded=facts.refunded,
        charged_back=facts.charged_back,
        fees=facts.fees,
        chargeback_amount=shown.amount if shown else None,
        chargeback_state=shown.state if shown else None,
        evidence_due_by=shown.evidence_due_by if shown else None,
    )
    return _settle(order, after, f"report:{order.id}:{order.postings + 1}")


def outstanding(order: Order) -> Decimal:
    """Return the amount that the buyer is still to get: refunds that are decided, and neither made nor at a bank."""
    return order.refund_due - order.refunded - _covered(order) + _overpaid(order)


def refunded_amount(order: Order) -> Decimal:
    """Return the refunds that the buyer has: made by the provider, or kept by the buyer's bank in their place."""
    return order.refunded + _covered(order)


def refund_status(price: Decimal, refunded: Decimal) -> PaymentStatus:
    """Return the status of a captured payment of which this much was refunded. Both in major units."""
    if not refunded:
        return PaymentStatus.CAPTURED
    return PaymentStatus.REFUNDED if refunded >= price else PaymentStatus.PARTIALLY_REFUNDED


def position(order: Order) -> tuple[Line, ...]:
    """Return where the money of a captured order is: the sums of its ledger entries. They add up to zero."""
    if not order.is_captured:
        return ()
    price, covered, overpaid = order.price, _covered(order), _overpaid(order)
    lines = [
        *_seller_lines(order),
        Line(Account.BUYERS, order.refunded + order.charged_back - price),
        Line(Account.REFUNDS_DUE, outstanding(order)),
        Line(Account.CHARGEBACKS, covered - order.charged_back),
        Line(Account.PLATFORM_REFUNDS, -order.platform_refund - overpaid),
        Line(Account.FEES, -order.fees),
        Line(Account.FEES_PAID, order.fees),
    ]
    return tuple(line for line in lines if line.amount)


def _seller_lines(order: Order) -> Iterator[Line]:
    """Yield the lines of the seller, and of the commission."""
    seller, whole_commission = order.seller_id, commission(order.price, order.commission_percent)
    if order.status is Status.COMPLETED:
        seller_refund = order.refund_due - order.platform_refund
        earned = commission(order.price - seller_refund, order.commission_percent)
        yield Line(Account.AVAILABLE, order.price, seller, Kind.SALE)
        yield Line(Account.AVAILABLE, -seller_refund, seller, Kind.REFUND)
        yield Line(Account.AVAILABLE, -earned, seller, Kind.COMMISSION)
        yield Line(Account.COMMISSION, earned)
    elif order.status is not Status.CANCELLED:
        yield Line(Account.ESCROW, order.price - whole_commission, seller)
        yield Line(Account.ESCROW_COMMISSION, whole_commission)


def _covered(order: Order) -> Decimal:
    """Return the part of the decided refunds that banks hold in the provider's place."""
    return min(order.charged_back, max(NOTHING, order.refund_due - order.refunded))


def _overpaid(order: Order) -> Decimal:
    """Return the part of the provider's refunds that nobody here has decided: those made by hand."""
    return max(NOTHING, order.refunded - order.refund_due)


def _settle(before: Order, after: Order, reference: str) -> Change:
    """Return the change with its posting, its payment status, and its task when the buyer is to get more than before.

    The status of an order is the caller's to set; here it only says where the money is.
    """
    if after.is_captured:
        after = replace(after, payment_status=refund_status(after.price, refunded_amount(after)))
    lines = ledger.difference(position(before), position(after))
    if lines:
        after = replace(after, postings=after.postings + 1)
    task = PaymentTask.REFUND if outstanding(after) > outstanding(before) else None
    postings = (ledger.Posting(reference, lines, order_id=after.id),) if lines else ()
    return Change(after, postings=postings, payment_task=task)
