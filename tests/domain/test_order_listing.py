"""Whose orders a list shows, and an admin's filters."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from order_service.domain.listing import AdminFilters, OrderFilter, order_filter
from order_service.domain.order import Status
from servicekit.call import Caller
from servicekit.errors import Forbidden, InvalidArgument
from tests.support.orders import BUYER, SELLER

USER = Caller(BUYER)
ADMIN = Caller(BUYER, roles=frozenset({"admin"}))
NOTHING = AdminFilters()


@pytest.mark.parametrize("caller", [USER, ADMIN])
def test_a_list_has_the_callers_own_orders_unless_a_role_is_named(caller: Caller) -> None:
    assert order_filter("", None, NOTHING, caller) == OrderFilter(participant_id=BUYER)
    assert order_filter("buyer", None, NOTHING, caller) == OrderFilter(buyer_id=BUYER)
    assert order_filter("seller", Status.PENDING, NOTHING, caller) == OrderFilter(
        seller_id=BUYER, status=Status.PENDING
    )


def test_everyones_orders_are_for_admins_alone() -> None:
    assert order_filter("admin", Status.DISPUTED, NOTHING, ADMIN) == OrderFilter(status=Status.DISPUTED)
    with pytest.raises(Forbidden):
        order_filter("admin", None, NOTHING, USER)


def test_an_admins_filters_are_read() -> None:
    filters = AdminFilters(
        seller_id=str(SELLER), placed_after="2023-08-20T12:00:00+02:00", placed_before="2023-08-20T12:00:00Z"
    )

    found = order_filter("admin", None, filters, ADMIN)

    assert found.seller_id == SELLER
    assert (found.placed_after, found.placed_before) == (
        datetime(2023, 8, 20, 10, tzinfo=UTC),
        datetime(2023, 8, 20, 12, tzinfo=UTC),
    )


def test_every_violation_of_the_filters_is_named() -> None:
    filters = AdminFilters(placed_after="soon", placed_before="later", had_chargeback=True)

    with pytest.raises(InvalidArgument) as own:
        order_filter("buyer", None, filters, ADMIN)
    with pytest.raises(InvalidArgument) as malformed:
        order_filter("admin", None, filters, ADMIN)

    assert [each.field for each in own.value.violations] == ["placedAfter", "placedBefore", "chargeback"]
    assert [each.field for each in malformed.value.violations] == ["placedAfter", "placedBefore"]
