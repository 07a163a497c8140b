"""Orders with extras and a quantity, through the pipeline: what is paid, what is stored, and what everybody sees."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from marketplace.gig.v1 import gig_pb2
from marketplace.order.v1 import order_pb2
from order_service.convert.feed import to_data, to_json
from order_service.payments.sandbox import scenarios
from servicekit.call import Caller
from servicekit.database import Statement
from servicekit.ids import new_id
from tests.support.identity import user_id
from tests.support.order_rows import row_counts
from tests.support.orders import TIMEOUTS
from tests.support.orderservice import ADMIN, BUYER, SELLER, OrderBackend
from tests.support.rpc import Answer

FASTER, SOURCES, LONGER = (str(new_id()) for _ in range(3))
EXTRAS = [
    gig_pb2.Extra(id=FASTER, title="Two days earlier", price=59.99, extra_days=-2),
    gig_pb2.Extra(id=SOURCES, title="All source files", price=20.01),
    gig_pb2.Extra(id=LONGER, title="Second language", price=180, extra_days=4, extra_revisions=1),
]
LINES = Statement("""
    SELECT position, title, unit_price, quantity FROM order_lines WHERE order_id = $1 ORDER BY position
""")
# As a worker of the previous version has stored it.
FORGET_IN_DRAFT = Statement("""
    UPDATE attempts SET data = data #- '{offer,lines}' #- '{wish,extra_ids}' #- '{wish,quantity}' WHERE order_id = $1
""")
ATTEMPT = Statement("SELECT order_id FROM attempts")
EVENT = Statement("SELECT id FROM events")


@pytest.fixture
def shop(world: OrderBackend) -> OrderBackend:
    """Return an OrderService whose gig has a package with extras."""
    world.offer_package(extras=EXTRAS)
    return world


def lines(order: order_pb2.Order) -> list[tuple[str, float, int, float]]:
    return [(line.title, line.unit_price, line.quantity, line.amount) for line in order.lines]


def refused_fields(answer: Answer) -> list[str]:
    assert (answer.http_status, answer.error) == (400, "INVALID_ARGUMENT")
    return [each["field"] for each in answer.body["details"]]


def test_the_sum_is_authorized_and_everybody_sees_the_lines(shop: OrderBackend) -> None:
    placed = shop.place(extra_ids=[LONGER, FASTER], quantity=2).response

    assert placed.price == 1239.99
    assert float(shop.sandbox_payment(placed.order_id).authorized) == 1239.99
    expected = [
        ("Basic Website", 500, 2, 1000),
        ("Second language", 180, 1, 180),
        ("Two days earlier", 59.99, 1, 59.99),
    ]
    for reader in (BUYER, SELLER, ADMIN):
        order = shop.get(placed.order_id, reader).response.order
        assert lines(order) == expected
        assert (order.price, order.payment.amount, order.revisions_left, order.package) == (
            1239.99, 1239.99, 2, "Basic Website"
        )  # fmt: skip
        assert (order.due_date.seconds - order.created_at.seconds) == 16 * 86_400
    (listed,) = shop.page(BUYER).response.results
    assert lines(listed) == expected


def test_every_action_answers_the_lines_and_the_money_is_that_of_the_sum(shop: OrderBackend) -> None:
    order_id = shop.place(extra_ids=[SOURCES], quantity=3).response.order_id

    for action, who, message in (
        ("accept", SELLER, ""), ("deliver", SELLER, "Here"), ("revise", BUYER, "Bluer"), ("deliver", SELLER, "Here"),
        ("complete", BUYER, ""),
    ):  # fmt: skip
        order = shop.act(action, order_id, who, message).response.order
        assert lines(order) == [("Basic Website", 500, 3, 1500), ("All source files", 20.01, 1, 20.01)]

    assert shop.balance() == (0, 1368.01, 0)


def test_an_extra_that_is_not_the_package_s_is_named_before_the_card_is_asked(shop: OrderBackend) -> None:
    shop.offer_package(other := str(new_id()), extras=EXTRAS[:1])
    answer = shop.place(
        package_id=other, extra_ids=[FASTER, SOURCES, str(new_id())], payment_token=scenarios.DECLINED, key="k"
    )

    assert refused_fields(answer) == ["extraIds[1]", "extraIds[2]"]
    assert row_counts(shop) == {"orders": 0, "attempts": 0, "keys": 0, "outbox": 0}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"extra_ids": [FASTER, SOURCES, FASTER]}, "extraIds"),
        ({"extra_ids": [FASTER, FASTER.upper()]}, "extraIds"),
        ({"extra_ids": ["express"]}, "extraIds[0]"),
        ({"extra_ids": [str(new_id()) for _ in range(11)]}, "extraIds"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": 21}, "quantity"),
    ],
)
def test_what_is_out_of_bounds_is_refused_before_the_package_is_looked_for(
    shop: OrderBackend, changes: dict[str, Any], field: str
) -> None:
    assert refused_fields(shop.place(package_id=str(new_id()), **changes)) == [field]


def test_a_sum_above_the_largest_price_is_an_error_of_the_quantity(shop: OrderBackend) -> None:
    shop.offer_package(price=50_000, extras=EXTRAS)

    assert shop.place(quantity=20).response.price == 1_000_000
    assert refused_fields(shop.place(quantity=20, extra_ids=[SOURCES])) == ["quantity"]


def test_the_expected_price_is_held_against_the_sum(shop: OrderBackend) -> None:
    refused = shop.place(extra_ids=[SOURCES], quantity=2, expected_price=500)

    assert (refused.error, refused.body["price"]) == ("PRICE_CHANGED", 1020.01)
    assert shop.place(extra_ids=[SOURCES], quantity=2, expected_price=1020.01).error == ""


def test_the_order_keeps_its_lines_when_the_extras_change(shop: OrderBackend) -> None:
    order_id = shop.place(extra_ids=[SOURCES]).response.order_id

    shop.offer_package(package_title="Premium Website", price=900)

    assert lines(shop.get(order_id, BUYER).response.order) == [
        ("Basic Website", 500, 1, 500), ("All source files", 20.01, 1, 20.01)
    ]  # fmt: skip


def test_a_quantity_of_one_is_the_same_request_as_none_and_another_one_is_not(shop: OrderBackend) -> None:
    first = shop.place(key="k")

    assert shop.place(key="k", quantity=1).response == first.response
    for changes in ({"quantity": 2}, {"extra_ids": [FASTER]}):
        assert shop.place(key="k", **changes).error == "IDEMPOTENCY_KEY_REUSED"


def test_extras_in_another_order_are_another_request_since_the_lines_would_differ(shop: OrderBackend) -> None:
    shop.place(key="k", extra_ids=[FASTER, SOURCES])

    assert shop.place(key="k", extra_ids=[FASTER, SOURCES]).error == ""
    assert shop.place(key="k", extra_ids=[SOURCES, FASTER]).error == "IDEMPOTENCY_KEY_REUSED"


def test_payment_recovery_places_the_order_with_its_lines(shop: OrderBackend) -> None:
    shop.place(key="k", payment_token=scenarios.CONFIRM, extra_ids=[LONGER], quantity=2)

    shop.travel(timedelta(seconds=5))
    shop.settle()

    (order,) = shop.page(BUYER).response.results
    assert lines(order) == [("Basic Website", 500, 2, 1000), ("Second language", 180, 1, 180)]


def test_a_draft_of_the_previous_version_becomes_an_order_of_one_line(shop: OrderBackend) -> None:
    shop.place(key="k", payment_token=scenarios.CONFIRM)
    (row,) = shop.database.fetch_all(ATTEMPT)
    shop.database.fetch_all(FORGET_IN_DRAFT, row["order_id"])

    shop.travel(timedelta(seconds=5))
    shop.settle()

    (order,) = shop.page(BUYER).response.results
    assert (order.order_id, lines(order)) == (str(row["order_id"]), [("Basic Website", 500, 1, 500)])
    assert shop.database.fetch_all(LINES, row["order_id"]) == []


def test_an_order_of_a_package_alone_stores_no_lines_as_those_from_before_and_shows_one(shop: OrderBackend) -> None:
    order_id = shop.placed()

    assert shop.database.fetch_all(LINES, order_id) == []
    assert lines(shop.get(order_id, BUYER).response.order) == [("Basic Website", 500, 1, 500)]
    assert lines(shop.page(SELLER).response.results[0]) == [("Basic Website", 500, 1, 500)]
    assert lines(shop.act("accept", order_id, SELLER).response.order) == [("Basic Website", 500, 1, 500)]


def test_the_feed_tells_the_lines_as_get_does(shop: OrderBackend) -> None:
    order_id = shop.place(extra_ids=[SOURCES], quantity=2).response.order_id
    (row,) = shop.database.fetch_all(EVENT)
    event = shop.store.feed.get(row["id"])
    assert event is not None

    data = to_data(event, Caller(id=user_id("webdev_pro")), TIMEOUTS)

    assert data["lines"] == [
        {"title": "Basic Website", "unitPrice": 500, "quantity": 2, "amount": 1000},
        {"title": "All source files", "unitPrice": 20.01, "quantity": 1, "amount": 20.01},
    ]
    assert data["lines"] == to_json(shop.get(order_id, SELLER).response.order)["lines"]
