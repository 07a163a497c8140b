"""Badges of sellers, from orders and reviews over HTTP to the gig's page."""

from __future__ import annotations

import pytest

from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import Market, a_name, ok


@pytest.fixture
def market(stack: Stack) -> Market:
    return Market.of(stack)


def badges(market: Market, gig_id: str) -> list[str]:
    """Return the seller's badges on a gig's page."""
    earned: list[str] = ok(market.seller.get(f"/api/gigs/{gig_id}"))["seller"]["badges"]
    return earned


def test_ten_reviews_of_one_buyer_earn_no_badge_and_those_of_ten_buyers_do(stack: Stack, market: Market) -> None:
    gig = market.gig()
    for _ in range(10):
        order = market.delivered(gig)
        market.review(order)
        # The reviewed orders are cancelled and refunded, as in a fraud; their reviews stay.
        ok(market.buyer.post(f"/api/orders/{order}/dispute", json={"message": "It is not what I ordered"}))
        resolution = {"outcome": "CANCELLED", "message": "Refunded"}
        ok(market.admin.post(f"/api/orders/{order}/resolve", json=resolution))

    eventually(lambda: ok(market.anyone.get(f"/api/gigs/{gig['id']}"))["reviewCount"] == 10)
    assert badges(market, gig["id"]) == []

    for number in range(9):
        with stack.client(a_name("buyer"), "buyer") as buyer:
            market.buyer = buyer
            market.review(market.delivered(gig))
        if number == 1:
            eventually(lambda: badges(market, gig["id"]) == ["Rising Talent"])

    eventually(lambda: badges(market, gig["id"]) == ["Top Seller"])
    results = ok(market.anyone.get("/api/gigs", params={"sellerId": gig["seller"]["id"]}))["results"]
    assert results[0]["seller"]["badges"] == ["Top Seller"]
