"""The money of an order: its position for every state, and the postings that lead from one to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_service.domain import settlement
from order_service.domain.chargeback import Chargeback, ChargebackState, shown
from order_service.domain.commission import commission
from order_service.domain.ledger import Account, Kind, Line
from order_service.domain.order import Change, Order, PaidBy, PaymentTask, Status
from order_service.domain.payment import PaymentStatus
from order_service.domain.refund import Refund, RefundState
from order_service.domain.settlement import Facts, outstanding, position, refunded_amount
from servicekit.errors import Conflict, InvalidArgument
from servicekit.ids import new_id
from tests.support.orders import NOON, an_order

CENTS = st.integers(0, 60_000).map(lambda cents: Decimal(cents) / 100)
FACTS = st.builds(Facts, refunded=CENTS, charged_back=CENTS, fees=CENTS)


def accounts(lines: tuple[Line, ...]) -> dict[str, Decimal]:
    """Return the sums of the lines by account."""
    totals: Counter[str] = Counter()
    for line in lines:
        totals[line.account] += line.amount  # type: ignore[assignment]  # a counter counts decimals, too
    return {name: Decimal(amount) for name, amount in totals.items() if amount}


def in_progress(price: str = "500.00") -> Order:
    return an_order(status=Status.IN_PROGRESS, price=Decimal(price))


def completed(price: str = "500.00", refund: str = "0") -> Order:
    return settlement.release(in_progress(price), Decimal(refund)).order


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Return the changes of a captured order: reports before and after its end, and refunds after it."""
    before = an_order(status=Status.PENDING, price=Decimal(draw(st.integers(1, 60_000))) / 100)
    steps = [settlement.capture(before)]
    steps += [settlement.record(steps[-1].order, facts) for facts in draw(st.lists(FACTS, max_size=1))]
    if draw(st.booleans()):
        steps.append(settlement.refund_in_full(steps[-1].order))
    else:
        refund = min(draw(CENTS), before.price)
        steps.append(settlement.release(steps[-1].order, refund))
        for amount in draw(st.lists(CENTS, max_size=3)):
            left = settlement.refundable(steps[-1].order)
            if 0 < amount <= left:
                steps.append(settlement.refund(steps[-1].order, amount, draw(st.sampled_from(PaidBy))))
    for facts in draw(st.lists(FACTS, max_size=3)):
        steps.append(settlement.record(steps[-1].order, facts))
    return steps


def lines_of(steps: list[Change]) -> Iterator[Line]:
    for step in steps:
        for posting in step.postings:
            yield from posting.lines


@given(steps=changes())
def test_the_postings_of_an_order_add_up_to_its_position_and_each_sums_to_zero(steps: list[Change]) -> None:
    for step in steps:
        for posting in step.postings:
            assert sum(line.amount for line in posting.lines) == 0

    assert accounts(tuple(lines_of(steps))) == accounts(position(steps[-1].order))
    references = [posting.reference for step in steps for posting in step.postings]
    assert len(references) == len(set(references)) == steps[-1].order.postings


@given(steps=changes())
def test_a_buyer_gets_what_was_decided_and_never_less(steps: list[Change]) -> None:
    order = steps[-1].order
    has = order.refunded + order.charged_back

    assert outstanding(order) == max(Decimal(0), order.refund_due - has)
    assert refunded_amount(order) + outstanding(order) == max(order.refund_due, order.refunded)
    assert accounts(position(order)).get(Account.REFUNDS_DUE, Decimal(0)) == outstanding(order)


@given(steps=changes())
def test_an_order_that_is_over_leaves_escrow_empty_and_the_seller_not_below_zero(steps: list[Change]) -> None:
    order = steps[-1].order
    after = accounts(position(order))

    assert Account.ESCROW not in after
    assert Account.ESCROW_COMMISSION not in after
    seller_refund = order.refund_due - order.platform_refund
    if order.status is Status.COMPLETED:
        earned = commission(order.price - seller_refund, order.commission_percent)
        assert after.get(Account.AVAILABLE, Decimal(0)) == order.price - seller_refund - earned
        assert after.get(Account.COMMISSION, Decimal(0)) == earned
    assert after.get(Account.AVAILABLE, Decimal(0)) >= 0
    # Entry after entry: no account of the seller is overdrawn on the way.
    balance: Counter[str] = Counter()
    for line in lines_of(steps):
        if line.owner is not None:
            balance[line.account] += line.amount  # type: ignore[assignment]
            assert balance[line.account] >= 0


@given(first=FACTS, last=FACTS)
def test_only_the_last_facts_count(first: Facts, last: Facts) -> None:
    order = completed(refund="120.50")

    in_turn = settlement.record(settlement.record(order, first).order, last).order
    at_once = settlement.record(order, last).order

    assert replace(in_turn, postings=0) == replace(at_once, postings=0)


def test_a_sellers_entries_of_a_sale_are_the_price_the_refund_and_the_commission_on_the_rest() -> None:
    change = settlement.release(in_progress(), Decimal("120.50"))

    entries = [(line.kind, line.amount) for line in lines_of([change]) if line.account is Account.AVAILABLE]

    assert entries == [
        (Kind.SALE, Decimal(500)),
        (Kind.REFUND, Decimal("-120.50")),
        (Kind.COMMISSION, Decimal("-37.95")),
    ]


def test_a_refund_from_the_seller_gives_back_the_commission_on_it() -> None:
    change = settlement.refund(completed(), Decimal(100), PaidBy.SELLER)

    entries = {line.kind: line.amount for line in lines_of([change]) if line.account is Account.AVAILABLE}

    assert entries == {Kind.REFUND: Decimal(-100), Kind.COMMISSION: Decimal(10)}
    assert change.payment_task is PaymentTask.REFUND


def test_a_refund_from_the_platform_leaves_the_seller_and_the_commission_alone() -> None:
    change = settlement.refund(completed(), Decimal(100), PaidBy.PLATFORM)

    assert accounts(tuple(lines_of([change]))) == {
        Account.PLATFORM_REFUNDS: Decimal(-100),
        Account.REFUNDS_DUE: Decimal(100),
    }


def test_all_refunds_together_are_at_most_the_price() -> None:
    order = settlement.refund(completed(refund="100"), Decimal("300"), PaidBy.PLATFORM).order

    assert settlement.refundable(order) == 100
    with pytest.raises(InvalidArgument):
        settlement.refund(order, Decimal("500.01"), PaidBy.SELLER)
    with pytest.raises(Conflict):
        settlement.refund(order, Decimal("100.01"), PaidBy.SELLER)
    all_of_it = settlement.refund(order, Decimal(100), PaidBy.SELLER).order
    assert settlement.refundable(all_of_it) == 0


def test_a_refund_by_hand_counts_and_is_the_platforms_cost_unless_it_was_decided() -> None:
    order = settlement.record(in_progress(), Facts(refunded=Decimal(50))).order
    assert accounts(position(order))[Account.PLATFORM_REFUNDS] == -50
    assert (order.payment_status, refunded_amount(order)) == (PaymentStatus.PARTIALLY_REFUNDED, Decimal(50))

    cancelled = settlement.refund_in_full(order).order
    assert outstanding(cancelled) == 450
    assert Account.PLATFORM_REFUNDS not in accounts(position(cancelled))

    done = settlement.release(order, Decimal(0)).order
    assert settlement.refundable(done) == 450
    refunded_more = settlement.refund(done, Decimal(100), PaidBy.SELLER).order
    assert outstanding(refunded_more) == 100


def test_of_a_partial_chargeback_the_rest_of_a_refund_is_still_due() -> None:
    order = settlement.record(in_progress(), Facts(charged_back=Decimal(50))).order

    cancelled = settlement.refund_in_full(order)

    assert outstanding(cancelled.order) == 450
    assert refunded_amount(cancelled.order) == 50
    assert cancelled.payment_task is PaymentTask.REFUND


def test_a_chargeback_that_is_won_after_the_refund_makes_the_refund_due_again() -> None:
    order = settlement.record(in_progress(), Facts(charged_back=Decimal(500))).order
    cancelled = settlement.refund_in_full(order)
    assert (outstanding(cancelled.order), cancelled.payment_task) == (Decimal(0), None)

    won = settlement.record(cancelled.order, Facts())

    assert (outstanding(won.order), won.payment_task) == (Decimal(500), PaymentTask.REFUND)
    assert accounts(position(won.order)) == {Account.BUYERS: -500, Account.REFUNDS_DUE: 500}


def test_a_refund_that_fails_is_due_again() -> None:
    order = settlement.refund_in_full(in_progress()).order
    made = settlement.record(order, Facts(refunded=Decimal(500))).order
    assert (made.payment_status, outstanding(made)) == (PaymentStatus.REFUNDED, Decimal(0))

    failed = settlement.record(made, Facts())

    assert (failed.order.payment_status, outstanding(failed.order)) == (PaymentStatus.CAPTURED, Decimal(500))
    assert failed.payment_task is PaymentTask.REFUND


def test_a_refund_from_the_seller_makes_good_the_loss_of_a_chargeback() -> None:
    order = settlement.record(completed(), Facts(charged_back=Decimal(500))).order
    assert accounts(position(order))[Account.CHARGEBACKS] == -500

    refunded = settlement.refund(order, Decimal(200), PaidBy.SELLER)

    assert (outstanding(refunded.order), refunded.payment_task) == (Decimal(0), None)
    assert accounts(position(refunded.order))[Account.CHARGEBACKS] == -300
    assert refunded_amount(refunded.order) == 200


@given(states=st.permutations([*RefundState, *RefundState]))
def test_reports_of_a_refund_lead_to_the_same_state_in_any_order(states: list[RefundState]) -> None:
    refund = Refund(new_id(), new_id(), Decimal(5), RefundState.REQUESTED)

    for state in states:
        refund = refund.after(state, "re_1")

    assert (refund.state, refund.provider_id) == (RefundState.FAILED, "re_1")


REPORT = st.tuples(st.integers(1, 500).map(Decimal), st.sampled_from(ChargebackState))


@given(reports=st.lists(REPORT, min_size=1, max_size=6), data=st.data())
def test_reports_of_a_chargeback_lead_to_the_same_end_in_any_order(
    reports: list[tuple[Decimal, ChargebackState]], data: st.DataObject
) -> None:
    def end(order_of_reports: list[tuple[Decimal, ChargebackState]]) -> Chargeback:
        amount, state = order_of_reports[0]
        chargeback = Chargeback("dp_1", ORDER_ID, amount, state, None, NOON)
        for amount, state in order_of_reports:
            chargeback = chargeback.after(amount, state, None)
        return chargeback

    shuffled = data.draw(st.permutations(reports))
    repeated = shuffled + data.draw(st.lists(st.sampled_from(reports), max_size=3))

    assert end(reports) == end(repeated)


ORDER_ID = new_id()


def test_an_order_shows_the_newest_open_chargeback_and_else_the_newest() -> None:
    def chargeback(name: str, state: ChargebackState, hours: int) -> Chargeback:
        return Chargeback(name, ORDER_ID, Decimal(5), state, None, NOON + timedelta(hours=hours))

    first = chargeback("a", ChargebackState.NEEDS_RESPONSE, 1)
    second = chargeback("b", ChargebackState.UNDER_REVIEW, 2)
    third = chargeback("c", ChargebackState.LOST, 3)

    assert shown([first, second, third]) is second
    assert shown([third, chargeback("d", ChargebackState.WON, 2)]) is third
    assert shown([]) is None
