"""The rules of extras and quantity: lines, their sum, the days and the revisions of an order."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_service.domain.ledger import Account
from order_service.domain.lifecycle import Action, Command, move
from order_service.domain.order import Line, Order, Party, Status
from order_service.domain.placing import MAX_PRICE, Extra, OrderTerms, PriceChanged, draft, order_terms
from order_service.domain.settlement import position
from servicekit.errors import InvalidArgument
from servicekit.ids import new_id
from tests.support.orders import NOON, POLICY, TIMEOUTS, a_placing, an_order, an_order_request, package_terms

FASTER, SOURCES, LONGER = new_id(), new_id(), new_id()
EXTRAS = (
    Extra(FASTER, "Two days earlier", Decimal("59.99"), -2, 0),
    Extra(SOURCES, "All source files", Decimal("20.01"), 0, 0),
    Extra(LONGER, "Second language", Decimal("180.00"), 4, 1),
)


def ordered(*extra_ids: UUID, quantity: int = 1, **changes: Any) -> OrderTerms:
    """Return the terms of the seed's package with these extras."""
    return order_terms(package_terms(extras=EXTRAS, **changes), extra_ids, quantity)


def placed(*extra_ids: UUID, quantity: int = 1, **changes: Any) -> Order:
    """Return a new order of the seed's package with these extras."""
    request = an_order_request(extra_ids=extra_ids, quantity=quantity)
    return a_placing(NOON, request, extras=EXTRAS, **changes).order


def refused_fields(*extra_ids: UUID, quantity: int = 1, **changes: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as refusal:
        ordered(*extra_ids, quantity=quantity, **changes)
    return [violation.field for violation in refusal.value.violations]


def test_a_package_alone_is_one_line_and_keeps_its_terms() -> None:
    terms = ordered()

    assert terms.lines == (Line("Basic Website", Decimal("500.00"), 1),)
    assert (terms.price, terms.delivery_days, terms.revisions) == (Decimal("500.00"), 14, 2)


def test_the_package_is_the_first_line_and_the_extras_follow_as_they_were_asked_for() -> None:
    terms = ordered(LONGER, FASTER)

    assert [line.title for line in terms.lines] == ["Basic Website", "Second language", "Two days earlier"]
    assert terms.price == Decimal("739.99")


def test_the_quantity_multiplies_the_line_of_the_package_and_nothing_else() -> None:
    terms = ordered(FASTER, LONGER, quantity=3)

    assert [(line.quantity, line.amount) for line in terms.lines] == [
        (3, Decimal("1500.00")), (1, Decimal("59.99")), (1, Decimal("180.00"))
    ]  # fmt: skip
    assert (terms.price, terms.delivery_days, terms.revisions) == (Decimal("1739.99"), 16, 3)


def test_an_order_takes_a_day_at_least() -> None:
    assert ordered(FASTER, delivery_days=3).delivery_days == 1
    assert ordered(FASTER, delivery_days=2).delivery_days == 1
    assert ordered(FASTER, delivery_days=1).delivery_days == 1
    assert ordered(FASTER, LONGER, delivery_days=1).delivery_days == 3


def test_each_extra_that_is_not_the_package_s_is_named() -> None:
    assert refused_fields(new_id(), FASTER, new_id()) == ["extraIds[0]", "extraIds[2]"]


def test_the_largest_price_can_be_ordered_and_a_cent_more_is_an_error_of_the_quantity() -> None:
    assert ordered(quantity=20, price=Decimal(50_000)).price == MAX_PRICE
    assert refused_fields(quantity=20, price=Decimal("50000.01")) == ["quantity"]
    assert refused_fields(FASTER, price=MAX_PRICE) == ["quantity"]


def test_the_expected_price_is_that_of_the_whole_order() -> None:
    terms = ordered(FASTER, quantity=2)

    draft(new_id(), terms, an_order_request(), POLICY, Decimal("1059.99"))
    with pytest.raises(PriceChanged):
        draft(new_id(), terms, an_order_request(), POLICY, Decimal("500.00"))


def test_an_order_has_the_days_and_revisions_of_package_and_extras() -> None:
    order = placed(LONGER, quantity=2)

    assert (order.price, order.delivery_days, order.revisions_left) == (Decimal("1180.00"), 18, 3)
    assert order.due_at == NOON + timedelta(days=18)


def test_accepting_and_revising_count_the_days_of_the_order() -> None:
    order = placed(FASTER)
    later = NOON + timedelta(hours=1)

    def act(order: Order, action: Action, party: Party) -> Order:
        return move(order, Command(action, "x"), frozenset({party}), now=later, timeouts=TIMEOUTS).order

    accepted = act(order, Action.ACCEPT, Party.SELLER)
    revised = act(act(accepted, Action.DELIVER, Party.SELLER), Action.REVISE, Party.BUYER)

    assert accepted.due_at == revised.due_at == later + timedelta(days=12)
    assert revised.lines == order.lines


def test_an_order_of_a_package_alone_has_the_line_of_its_package() -> None:
    order = placed(price=Decimal("19.99"))

    assert order.lines == ()
    assert order.all_lines == (Line("Basic Website", Decimal("19.99"), 1),)


def test_an_order_of_more_has_all_lines() -> None:
    twice, with_extra = placed(quantity=2), placed(SOURCES)

    assert twice.all_lines == twice.lines == (Line("Basic Website", Decimal("500.00"), 2),)
    assert with_extra.all_lines == with_extra.lines
    assert [line.title for line in with_extra.lines] == ["Basic Website", "All source files"]


CENTS = st.integers(1, 100_000_000)


@given(
    package=CENTS,
    quantity=st.integers(1, 20),
    extras=st.lists(st.tuples(CENTS, st.integers(-364, 365), st.integers(0, 100)), max_size=10),
    days=st.integers(1, 365),
    data=st.data(),
)
def test_the_price_is_the_exact_sum_of_the_lines_whatever_is_ordered(
    package: int, quantity: int, extras: list[tuple[int, int, int]], days: int, data: st.DataObject
) -> None:
    offered = tuple(
        Extra(new_id(), f"Extra {number}", Decimal(cents) / 100, more_days, revisions)
        for number, (cents, more_days, revisions) in enumerate(extras)
    )
    chosen = data.draw(st.lists(st.sampled_from(offered), unique=True) if offered else st.just([]))
    terms = package_terms(price=Decimal(package) / 100, delivery_days=days, extras=offered)
    cents = package * quantity + sum(extra.price * 100 for extra in chosen)

    if cents > 100_000_000:
        with pytest.raises(InvalidArgument):
            order_terms(terms, [extra.id for extra in chosen], quantity)
        return
    order = order_terms(terms, [extra.id for extra in chosen], quantity)

    assert order.price * 100 == cents == sum(line.amount * 100 for line in order.lines)
    assert [line.title for line in order.lines[1:]] == [extra.title for extra in chosen]
    assert order.delivery_days == max(1, days + sum(extra.extra_days for extra in chosen))
    assert order.revisions == terms.revisions + sum(extra.extra_revisions for extra in chosen)


def test_the_commission_is_that_of_the_sum() -> None:
    order = an_order(price=Decimal("1739.99"), status=Status.IN_PROGRESS)

    amounts = {line.account: line.amount for line in position(order)}

    assert amounts[Account.ESCROW_COMMISSION] == Decimal("174.00")
