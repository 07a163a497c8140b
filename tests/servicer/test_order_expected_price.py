"""`expectedPrice`: a buyer is never charged another price than the one that they were shown."""

from __future__ import annotations

import pytest
from google.rpc import error_details_pb2, status_pb2

from order_service.payments.sandbox import scenarios
from servicekit.ids import new_id
from servicekit.status import DETAILS_KEY
from tests.support.identity import token
from tests.support.order_rows import row_counts
from tests.support.orderservice import BUYER, OrderBackend

NOTHING = {"orders": 0, "attempts": 0, "keys": 0, "outbox": 0}


@pytest.mark.parametrize(("price", "expected", "shown"), [(500, 499.99, "500"), (19.99, 20, "19.99"), (0.5, 1, "0.5")])
def test_another_price_is_refused_with_the_price_before_the_card_is_asked_and_binds_no_key(
    world: OrderBackend, price: float, expected: float, shown: str
) -> None:
    world.offer_package(price=price)

    answer = world.place(key="k", payment_token=scenarios.DECLINED, expected_price=expected)

    assert (answer.http_status, answer.error, answer.body["price"]) == (409, "PRICE_CHANGED", price)
    assert row_counts(world) == NOTHING
    assert world.sandbox_payments() == []
    info = error_details_pb2.ErrorInfo()
    status_pb2.Status.FromString(answer.headers[DETAILS_KEY]).details[0].Unpack(info)
    assert dict(info.metadata) == {"price": shown}
    assert world.place(key="k", expected_price=price).error == ""


@pytest.mark.parametrize("price", [500, 19.99, 0.57, 1000000])
def test_the_expected_price_is_compared_exactly(world: OrderBackend, price: float) -> None:
    world.offer_package(price=price)

    assert world.place(expected_price=price).response.price == price


@pytest.mark.parametrize("wrong", [0, -0.01, 1000000.01, 19.999, float("nan"), float("inf")])
def test_an_expected_price_out_of_bounds_is_400(world: OrderBackend, wrong: float) -> None:
    answer = world.place(expected_price=wrong)

    assert (answer.http_status, {each["field"] for each in answer.body["details"]}) == (400, {"expectedPrice"})


def test_an_unknown_package_and_ones_own_gig_come_before_the_price(world: OrderBackend) -> None:
    own = token("webdev_pro", "seller", "buyer")

    assert world.place(package_id=str(new_id()), expected_price=1).error == "NOT_FOUND"
    assert world.place(own, expected_price=1).error == "FORBIDDEN"
    assert world.place(BUYER, expected_price=1).error == "PRICE_CHANGED"


def test_a_known_key_is_answered_whatever_the_price_is_now(world: OrderBackend) -> None:
    first = world.place(key="k", expected_price=500)
    world.offer_package(price=600)

    again = world.place(key="k", expected_price=500)

    assert again.response == first.response
