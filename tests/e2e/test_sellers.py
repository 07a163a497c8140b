"""An admin's hand on a seller's money, and lists of orders, through the real edge."""

from __future__ import annotations

from typing import Any

import pytest

from order_service.payments.sandbox import scenarios
from tests.support.eventually import eventually
from tests.support.story import Market, ok


def sellers(market: Market, gig: dict[str, Any], rest: str) -> str:
    """Return the path of an admin's view of the gig's seller."""
    return f"/api/sellers/{gig['seller']['id']}/{rest}"


def test_a_held_payout_goes_soon_after_the_release(market: Market) -> None:
    gig = market.gig()
    market.completed(gig)
    hold = sellers(market, gig, "payout-hold")
    assert market.admin.get(hold).status_code == 404

    held = ok(market.admin.put(hold, json={"reason": "A look"}))
    refused = market.seller.post("/api/payouts", json={"amount": 5})
    again = ok(market.admin.put(hold, json={"reason": "A longer look"}))

    assert (refused.status_code, refused.json()["code"]) == (409, "PAYOUTS_HELD")
    assert (held["reason"], again) == ("A look", {"reason": "A longer look", "since": held["since"]})
    assert ok(market.admin.get(hold)) == again
    assert [market.admin.delete(hold).status_code for _ in range(2)] == [204, 204]
    payout = ok(market.seller.post("/api/payouts", json={"amount": 5}), 201)["payoutId"]
    eventually(lambda: ok(market.seller.get(f"/api/payouts/{payout}"))["status"] == "PAID")
    assert "failureReason" not in ok(market.seller.get(f"/api/payouts/{payout}"))


def test_a_payout_that_is_not_covered_is_paid_by_itself(market: Market) -> None:
    market.completed(market.gig())
    ok(market.seller.put("/api/payout-account", json={"destination": scenarios.PAYOUT_WAITS}))

    payout = ok(market.seller.post("/api/payouts", json={"amount": 5}), 201)["payoutId"]

    eventually(lambda: ok(market.seller.get(f"/api/payouts/{payout}"))["status"] == "PAID", 30)


def test_a_payout_that_fails_says_why(market: Market) -> None:
    market.completed(market.gig())
    ok(market.seller.put("/api/payout-account", json={"destination": scenarios.PAYOUT_REFUSED}))

    payout = ok(market.seller.post("/api/payouts", json={"amount": 5}), 201)["payoutId"]

    eventually(lambda: ok(market.seller.get(f"/api/payouts/{payout}"))["status"] == "FAILED")
    assert "payout account" in ok(market.seller.get(f"/api/payouts/{payout}"))["failureReason"]


def test_an_adjustment_is_shown_to_the_seller_and_to_admins(market: Market) -> None:
    gig = market.gig()
    market.completed(gig)

    body = {"amount": -12.34, "message": "Paid twice in May"}
    entry = ok(market.admin.post(sellers(market, gig, "adjustments"), json=body), 201)

    assert {key: value for key, value in entry.items() if key != "at"} == {"kind": "ADJUSTMENT", **body}
    for view in ("balance", "balance/entries"):
        assert ok(market.admin.get(sellers(market, gig, view))) == ok(market.seller.get(f"/api/{view}"))
    assert ok(market.seller.get("/api/balance/entries"))["results"][0] == entry
    assert ok(market.admin.get(sellers(market, gig, "payouts"))) == {"results": []}
    assert market.admin.post(sellers(market, gig, "adjustments"), json={**body, "amount": -500}).status_code == 409
    assert market.seller.get(sellers(market, gig, "balance")).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": "5", "message": "x"}, "amount"),
        ({"message": "x"}, "amount"),
        ({"amount": 1.005, "message": "x"}, "amount"),
        ({"amount": 5}, "message"),
    ],
)
def test_an_adjustment_with_a_wrong_body_is_named(market: Market, body: dict[str, Any], field: str) -> None:
    gig = market.gig()
    market.completed(gig)

    answer = market.admin.post(sellers(market, gig, "adjustments"), json=body)

    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, field), answer.text


def test_orders_are_listed_oldest_first_and_filtered_by_admins(market: Market) -> None:
    gig = market.gig()
    orders = [market.order(gig) for _ in range(3)]
    seller = gig["seller"]["id"]
    charged_back = ok(market.buyer.post("/api/orders", json=market.order_request(gig, scenarios.CHARGEBACK)), 201)[
        "orderId"
    ]
    ok(market.seller.post(f"/api/orders/{charged_back}/accept"))

    def listed(params: dict[str, Any]) -> list[str]:
        page = ok(market.admin.get("/api/orders", params={"role": "admin", "sellerId": seller, **params}))
        return [order["orderId"] for order in page["results"]]

    assert [order["orderId"] for order in ok(market.buyer.get("/api/orders?sort=oldest"))["results"]] == [
        *orders,
        charged_back,
    ]
    assert listed({"gigId": gig["id"], "sort": "oldest"}) == [*orders, charged_back]
    assert listed({"status": "PENDING", "placedAfter": "2023-08-20T10:00:00Z"}) == orders[::-1]
    assert listed({"placedBefore": "2023-08-20T10:00:00+02:00"}) == []
    eventually(lambda: listed({"chargeback": "true"}) == [charged_back])
    assert listed({"chargeback": ""}) == [charged_back, *orders[::-1]]
    for params in ({"chargeback": "perhaps"}, {"placedAfter": "soon"}, {"buyerId": "x"}, {"sort": "price"}):
        refused = market.admin.get("/api/orders", params={"role": "admin", **params})
        assert (refused.status_code, refused.json()["details"][0]["field"]) == (400, next(iter(params))), refused.text
    assert market.admin.get("/api/orders", params={"sellerId": seller}).status_code == 400
    assert market.seller.get("/api/orders", params={"role": "admin", "sellerId": seller}).status_code == 403
