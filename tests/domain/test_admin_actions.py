"""An admin's hand on an order: what it decides, and which decisions are refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from order_service.domain.failed_refund import fail_refund
from order_service.domain.lifecycle import Action, Command, move
from order_service.domain.order import Event, Order, PaidBy, Party, Status
from order_service.domain.settlement import Facts, outstanding, record
from servicekit.errors import InvalidArgument
from tests.support.orders import NOON, TIMEOUTS, an_order, event_of


def test_an_admin_decides_the_outcome_and_the_refund_of_a_dispute() -> None:
    order = an_order(status=Status.DISPUTED, price=Decimal("500.00"))
    admin = frozenset({Party.ADMIN})

    def resolved(outcome: Status, refund: str | None = None) -> Order:
        command = Command(Action.RESOLVE, "", outcome, None if refund is None else Decimal(refund))
        return move(order, command, admin, now=NOON, timeouts=TIMEOUTS).order

    assert (resolved(Status.COMPLETED).status, resolved(Status.COMPLETED).refund_due) == (Status.COMPLETED, Decimal(0))
    assert resolved(Status.COMPLETED, "120.50").refund_due == Decimal("120.50")
    assert resolved(Status.COMPLETED, "500").refund_due == Decimal("500.00")
    assert (resolved(Status.CANCELLED).status, resolved(Status.CANCELLED).refund_due) == (
        Status.CANCELLED,
        Decimal(500),
    )
    assert resolved(Status.CANCELLED, "500").refund_due == 500


@pytest.mark.parametrize(
    ("outcome", "refund"),
    [
        (Status.COMPLETED, "500.01"),
        (Status.CANCELLED, "500.01"),
        (Status.CANCELLED, "499.99"),
        (Status.CANCELLED, "0"),
    ],
)
def test_a_refund_that_does_not_fit_the_price_or_the_outcome_is_named(outcome: Status, refund: str) -> None:
    order = an_order(status=Status.DISPUTED, price=Decimal("500.00"))
    command = Command(Action.RESOLVE, "", outcome, Decimal(refund))

    with pytest.raises(InvalidArgument) as refusal:
        move(order, command, frozenset({Party.ADMIN}), now=NOON, timeouts=TIMEOUTS)

    assert [violation.field for violation in refusal.value.violations] == ["refundAmount"]


@pytest.mark.parametrize(
    ("status", "outcome", "refund", "message", "fields"),
    [
        (Status.PENDING, Status.COMPLETED, None, "No", ["outcome"]),
        (Status.PENDING, Status.CANCELLED, "0", "No", ["refundAmount"]),
        (Status.PENDING, Status.CANCELLED, "500", "No", ["refundAmount"]),
        (Status.IN_PROGRESS, Status.CANCELLED, None, "", ["message"]),
        (Status.DELIVERED, Status.COMPLETED, "500.01", "", ["message", "refundAmount"]),
    ],
)
def test_a_resolution_that_does_not_fit_the_status_is_named(
    status: Status, outcome: Status, refund: str | None, message: str, fields: list[str]
) -> None:
    order = an_order(status=status, price=Decimal("500.00"))
    command = Command(Action.RESOLVE, message, outcome, None if refund is None else Decimal(refund))

    with pytest.raises(InvalidArgument) as refusal:
        move(order, command, frozenset({Party.ADMIN}), now=NOON, timeouts=TIMEOUTS)

    assert [violation.field for violation in refusal.value.violations] == fields


def test_a_refund_that_is_refused_for_good_undoes_the_newest_decision_that_is_outstanding() -> None:
    order, admin = an_order(status=Status.COMPLETED), frozenset({Party.ADMIN})
    history: list[Event] = []
    for amount, paid_by in ((100, PaidBy.SELLER), (50, PaidBy.PLATFORM)):
        command = Command(Action.REFUND, "Late", refund=Decimal(amount), paid_by=paid_by)
        change = move(order, command, admin, now=NOON, timeouts=TIMEOUTS)
        order = change.order
        history.append(event_of(change))
    order = record(order, Facts(refunded=Decimal(70))).order

    undone: list[tuple[Decimal | None, PaidBy | None]] = []
    while failed := fail_refund(order, history, NOON):
        order = failed.order
        history.append(event_of(failed))
        undone.append((history[-1].amount, history[-1].paid_by))

    assert undone == [(Decimal(50), PaidBy.PLATFORM), (Decimal(30), PaidBy.SELLER)]
    assert (order.refund_due, order.platform_refund, outstanding(order)) == (Decimal(70), Decimal(0), Decimal(0))
