"""Extras and quantity as a client sees them, through Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import AN_EXTRA, SEED_GIG, SEED_PACKAGE, Market, ok

LANGUAGE: dict[str, Any] = {"title": "Second language", "price": 180, "extraDays": 4, "extraRevisions": 1}


@pytest.fixture
def market(stack: Stack) -> Market:
    return Market.of(stack)


@pytest.fixture
def gig(market: Market) -> Iterator[dict[str, Any]]:
    """Yield a gig whose package has two extras."""
    yield market.gig(packages=[{**SEED_GIG["packages"][0], "extras": [AN_EXTRA, LANGUAGE]}])


def details(answer: httpx.Response) -> list[str]:
    return [each["field"] for each in ok(answer, 400)["details"]]


def test_extras_are_always_shown_and_kept_by_their_ids(market: Market, gig: dict[str, Any]) -> None:
    (package,) = gig["packages"]
    faster, language = package["extras"]
    assert {name: faster[name] for name in faster if name != "id"} == {**AN_EXTRA, "extraRevisions": 0}
    path = f"/api/gigs/{gig['id']}/packages"
    added = ok(market.seller.post(path, json=SEED_PACKAGE), 201)["id"]
    assert [each["extras"] for each in ok(market.anyone.get(path))["packages"]] == [[faster, language], []]

    kept = {**language, "price": 99.95}
    replaced = ok(market.seller.put(f"{path}/{package['id']}", json={**SEED_PACKAGE, "extras": [kept]}))

    assert replaced["extras"] == [kept]
    assert ok(market.seller.get(f"/api/gigs/{gig['id']}"))["packages"][0]["extras"] == [kept]
    wrong = {**SEED_PACKAGE, "extras": [AN_EXTRA, faster]}
    assert details(market.seller.put(f"{path}/{package['id']}", json=wrong)) == ["extras[1].id"]
    assert details(market.seller.put(f"{path}/{added}", json={**SEED_PACKAGE, "extras": [kept]})) == ["extras[0].id"]
    assert ok(market.seller.put(f"{path}/{package['id']}", json=SEED_PACKAGE))["extras"] == []


def test_an_order_is_the_sum_of_its_lines_from_the_card_to_the_balance(market: Market, gig: dict[str, Any]) -> None:
    faster, language = gig["packages"][0]["extras"]
    body = {**market.order_request(gig), "quantity": 2, "extraIds": [language["id"], faster["id"].upper()]}

    refused = market.buyer.post("/api/orders", json={**body, "expectedPrice": 500})
    assert (ok(refused, 409)["code"], ok(refused, 409)["price"]) == ("PRICE_CHANGED", 1239.99)
    placed = ok(market.buyer.post("/api/orders", json={**body, "expectedPrice": 1239.99}), 201)

    assert (placed["price"], placed["package"]) == (1239.99, "Basic Website")
    path = f"/api/orders/{placed['orderId']}"
    order = ok(market.seller.get(path))
    assert order["lines"] == [
        {"title": "Basic Website", "unitPrice": 500, "quantity": 2, "amount": 1000},
        {"title": "Second language", "unitPrice": 180, "quantity": 1, "amount": 180},
        {"title": "Two days earlier", "unitPrice": 59.99, "quantity": 1, "amount": 59.99},
    ]
    assert (order["payment"]["amount"], order["revisionsLeft"]) == (1239.99, 1)
    days = datetime.fromisoformat(order["dueDate"]) - datetime.fromisoformat(order["createdAt"])
    assert days.days == 16
    listed = ok(market.buyer.get("/api/orders"))["results"]
    assert [each["lines"] for each in listed] == [order["lines"]]
    for person, action in ((market.seller, "accept"), (market.seller, "deliver"), (market.buyer, "complete")):
        assert ok(person.post(f"{path}/{action}"))["lines"] == order["lines"]
    eventually(lambda: ok(market.seller.get("/api/balance"))["available"] == 1115.99)


def test_an_order_of_a_package_alone_has_one_line(market: Market, gig: dict[str, Any]) -> None:
    order = ok(market.buyer.get(f"/api/orders/{market.order(gig)}"))

    assert order["lines"] == [{"title": "Basic Website", "unitPrice": 500, "quantity": 1, "amount": 500}]


def test_the_same_key_means_the_same_extras_and_the_same_quantity(market: Market, gig: dict[str, Any]) -> None:
    body, key = market.order_request(gig), {"idempotency-key": "extras"}
    first = ok(market.buyer.post("/api/orders", json=body, headers=key), 201)

    assert ok(market.buyer.post("/api/orders", json={**body, "quantity": 1}, headers=key), 201) == first
    for changes in ({"quantity": 2}, {"extraIds": [gig["packages"][0]["extras"][0]["id"]]}):
        again = market.buyer.post("/api/orders", json={**body, **changes}, headers=key)
        assert ok(again, 422)["code"] == "IDEMPOTENCY_KEY_REUSED"


def test_what_cannot_be_ordered_is_named(market: Market, gig: dict[str, Any]) -> None:
    faster, _ = gig["packages"][0]["extras"]
    other = market.gig(packages=[{**SEED_PACKAGE, "price": 60_000, "extras": [LANGUAGE]}])
    foreign = other["packages"][0]["extras"][0]["id"]

    def refused(of: dict[str, Any], **changes: Any) -> list[str]:
        return details(market.buyer.post("/api/orders", json={**market.order_request(of), **changes}))

    assert refused(gig, extraIds=[faster["id"], foreign]) == ["extraIds[1]"]
    assert refused(gig, extraIds=[faster["id"], faster["id"]]) == ["extraIds"]
    assert refused(gig, extraIds=["express"]) == ["extraIds[0]"]
    assert refused(gig, quantity=0) == refused(gig, quantity=21) == ["quantity"]
    assert refused(other, quantity=17) == ["quantity"]
    assert ok(market.buyer.get("/api/orders"))["results"] == []
