"""The order and the filters of ListOrders."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from order_service.domain.chargeback import ChargebackState
from servicekit.ids import new_id
from tests.support.identity import token, user_id
from tests.support.orderservice import ADMIN, BUYER, GIG, SELLER, OrderBackend

BUYER_ID, SELLER_ID = str(user_id("happy_buyer")), str(user_id("webdev_pro"))


@pytest.mark.parametrize("filters", [{}, {"role": "buyer"}])
def test_the_oldest_come_first_on_demand(world: OrderBackend, filters: dict[str, Any]) -> None:
    placed = [world.placed() for _ in range(5)]

    seen: list[str] = []
    page_token = ""
    while not seen or page_token:
        page = world.page(BUYER, sort="oldest", page_size=2, page_token=page_token, **filters).response
        seen += [order.order_id for order in page.results]
        page_token = page.next_page_token

    assert seen == placed
    assert world.listed(BUYER, sort="newest", **filters) == placed[::-1]
    assert world.page(BUYER, sort="price").error == "INVALID_ARGUMENT"


def test_an_admin_filters_all_orders(world: OrderBackend) -> None:
    first = world.placed()
    world.clock.travel(timedelta(days=1))
    second = world.placed(token("another", "buyer"))
    world.clock.travel(timedelta(days=1))
    other_gig = str(new_id())
    world.offer_package(seller_id=str(user_id("other_seller")), gig_id=other_gig)
    third = world.placed()
    world.offer_package()
    times = {
        order: world.get(order, ADMIN).response.order.created_at.ToJsonString() for order in (first, second, third)
    }

    def listed(**filters: Any) -> list[str]:
        return world.listed(ADMIN, role="admin", **filters)

    assert listed() == [third, second, first]
    assert listed(buyer_id=BUYER_ID) == listed(buyer_id=BUYER_ID.upper()) == [third, first]
    assert listed(seller_id=SELLER_ID, sort="oldest") == [first, second]
    assert listed(gig_id=GIG, buyer_id=BUYER_ID) == [first]
    assert listed(gig_id=other_gig, seller_id=SELLER_ID) == []
    # A time that is shown has whole seconds, so the order was placed then or within the second after it.
    assert listed(placed_after=times[second]) == [third, second]
    assert listed(placed_before=times[second]) == [first]
    assert listed(placed_after=times[second], placed_before=times[third]) == [second]
    assert listed(seller_id=str(new_id())) == []


def test_orders_that_ever_had_a_chargeback_are_found_by_an_admin(world: OrderBackend) -> None:
    world.accepted()
    won, lost = world.accepted(), world.accepted()
    chargebacks = [world.sandbox.charge_back(UUID(order)) for order in (won, lost)]
    world.settle()
    world.sandbox.decide_chargeback(chargebacks[0], ChargebackState.WON)
    world.settle()

    assert world.listed(ADMIN, role="admin", chargeback=True) == [lost, won]
    assert world.listed(ADMIN, role="admin", chargeback=True, buyer_id=str(new_id())) == []
    assert len(world.listed(ADMIN, role="admin", chargeback=False)) == 3


FILTERS: list[dict[str, Any]] = [
    {"buyer_id": BUYER_ID},
    {"seller_id": SELLER_ID},
    {"gig_id": GIG},
    {"placed_after": "2023-08-20T10:00:00Z"},
    {"placed_before": "2023-08-20T10:00:00Z"},
    {"chargeback": True},
]


@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: next(iter(filters)))
@pytest.mark.parametrize("sent_token", [ADMIN, SELLER], ids=["admin", "seller"])
def test_an_admins_filter_needs_the_admins_role(world: OrderBackend, sent_token: str, filters: dict[str, Any]) -> None:
    for role in ("", "buyer", "seller"):
        details = world.page(sent_token, role=role, **filters).body["details"]
        assert [each["field"].lower() for each in details] == [next(iter(filters)).replace("_", "")]
    if sent_token == SELLER:
        assert world.page(sent_token, role="admin", **filters).error == "FORBIDDEN"


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"buyer_id": "nobody"}, "buyerId"),
        ({"placed_after": "yesterday"}, "placedAfter"),
        ({"placed_after": "2023-08-20"}, "placedAfter"),
        ({"placed_after": "2023-08-20T10:00:00"}, "placedAfter"),
        ({"placed_after": "2023-08-20T10:00:00 02:00"}, "placedAfter"),
        ({"placed_before": "2023-02-30T10:00:00Z"}, "placedBefore"),
        ({"placed_before": "2023-08-20T24:00:00Z"}, "placedBefore"),
        ({"placed_before": "20230820T100000Z"}, "placedBefore"),
        ({"placed_after": "2023-08-20T10:00:00Z", "placed_before": "2023-08-20T10:00:00Z"}, "placedBefore"),
        ({"placed_after": "2023-08-20T10:00:00Z", "placed_before": "2023-08-20T11:00:00+02:00"}, "placedBefore"),
    ],
)
def test_a_filter_that_is_none_is_named(world: OrderBackend, filters: dict[str, Any], field: str) -> None:
    details = world.page(ADMIN, role="admin", **filters).body["details"]

    assert [each["field"] for each in details] == [field]


@pytest.mark.parametrize(
    "text",
    [
        "2023-08-20T10:00:00.5Z",
        "2023-08-20t10:00:00z",
        "2023-08-20T10:00:00.123456789-11:30",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_every_form_of_an_rfc_3339_time_is_taken(world: OrderBackend, text: str) -> None:
    order = world.placed()

    assert world.listed(ADMIN, role="admin", placed_after=text) + world.listed(
        ADMIN, role="admin", placed_before=text
    ) == [order]


def test_a_page_token_goes_with_the_admins_filters(world: OrderBackend) -> None:
    for _ in range(2):
        world.placed()
    filters: dict[str, Any] = {"role": "admin", "buyer_id": BUYER_ID, "page_size": 1}
    page_token = world.page(ADMIN, **filters).response.next_page_token

    assert world.page(ADMIN, page_token=page_token, **filters).error == ""
    for changed in ({"sort": "oldest"}, {"buyer_id": ""}, {"gig_id": GIG}, {"chargeback": True}):
        answer = world.page(ADMIN, page_token=page_token, **{**filters, **changed})
        assert [each["field"] for each in answer.body["details"]] == ["pageToken"]
