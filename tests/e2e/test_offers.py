"""Offers through Envoy, as JSON."""

from __future__ import annotations

from typing import Any

from order_service.payments.sandbox import scenarios
from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import Market, ok

FIELDS = {
    "id", "conversationId", "gigId", "sellerId", "buyerId", "title", "description", "price", "deliveryDays",
    "revisions", "status", "expiresAt", "createdAt",
}  # fmt: skip


def talk(market: Market) -> tuple[str, dict[str, Any]]:
    """Start a conversation about a gig. Return its path, and an offer of that gig."""
    gig = market.gig()["id"]
    begun = ok(market.buyer.post("/api/conversations", json={"gigId": gig, "text": "Do you do shops?"}), 201)
    offer = {"gigId": gig, "title": "A shop", "description": "With a blog", "price": 19.99, "deliveryDays": 10}
    return f"/api/conversations/{begun['id']}", offer


def test_the_story_of_an_offer(stack: Stack) -> None:
    market = Market.of(stack)
    path, terms = talk(market)

    answer = market.seller.post(f"{path}/offers", json=terms)

    offer = ok(answer, 201)
    assert answer.headers["location"] == f"/api/offers/{offer['id']}"
    assert set(offer) == FIELDS
    assert (offer["price"], offer["revisions"], offer["status"]) == (19.99, 0, "OPEN")
    assert ok(market.buyer.get(answer.headers["location"])) == offer
    message = ok(market.buyer.get(f"{path}/messages"))["results"][0]
    assert (message["text"], message["offerId"]) == ("", offer["id"])
    assert ok(market.buyer.get(path))["unread"] == 1

    body = {"offerId": offer["id"], "paymentMethod": "sandbox", "expectedPrice": 19.99}
    placed = market.buyer.post("/api/orders", json=body)
    order = ok(market.buyer.get(placed.headers["location"]))
    assert (ok(placed, 201)["status"], ok(placed, 201)["package"]) == ("IN_PROGRESS", "A shop")
    assert "packageId" not in order
    assert (order["offerId"], order["payment"]["status"]) == (offer["id"], "CAPTURED")
    assert order["lines"] == [{"title": "A shop", "unitPrice": 19.99, "quantity": 1, "amount": 19.99}]
    events = ok(market.buyer.get(f"{placed.headers['location']}/events"))["events"]
    assert [(event["action"], event.get("from"), event["to"]) for event in events] == [("place", None, "IN_PROGRESS")]
    accepted = ok(market.seller.get(answer.headers["location"]))
    assert (accepted["status"], accepted["orderId"]) == ("ACCEPTED", order["orderId"])
    again = market.buyer.post("/api/orders", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "OFFER_CLOSED")
    listed = ok(market.buyer.get("/api/offers", params={"role": "buyer", "status": "ACCEPTED"}))
    assert listed == {"results": [accepted]}


def test_what_an_order_of_an_offer_cannot_have_is_named(stack: Stack) -> None:
    market = Market.of(stack)
    path, terms = talk(market)
    offer = ok(market.seller.post(f"{path}/offers", json=terms), 201)["id"]
    other = {"packageId": offer, "extraIds": [offer], "quantity": 1}

    refused = market.buyer.post("/api/orders", json={"offerId": offer, "paymentMethod": "sandbox", **other})
    nothing = market.buyer.post("/api/orders", json={"paymentMethod": "sandbox"})

    assert (refused.status_code, nothing.status_code) == (400, 400)
    assert [each["field"] for each in refused.json()["details"]] == list(other)
    assert [each["field"] for each in nothing.json()["details"]] == ["packageId"]


def test_a_payment_in_doubt_places_the_order_by_itself(stack: Stack) -> None:
    market = Market.of(stack)
    path, terms = talk(market)
    offer = ok(market.seller.post(f"{path}/offers", json=terms), 201)["id"]
    body = {"offerId": offer, "paymentMethod": "sandbox", "paymentToken": scenarios.CAPTURE_TIMEOUT}

    doubtful = market.buyer.post("/api/orders", json=body, headers={"idempotency-key": "k"})

    assert (doubtful.status_code, doubtful.json()["code"]) == (503, "OUTCOME_UNKNOWN")
    eventually(lambda: ok(market.buyer.get(f"/api/offers/{offer}"))["status"] == "ACCEPTED")
    placed = ok(market.buyer.post("/api/orders", json=body, headers={"idempotency-key": "k"}), 201)
    assert ok(market.buyer.get(f"/api/offers/{offer}"))["orderId"] == placed["orderId"]
