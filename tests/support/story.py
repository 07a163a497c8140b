"""The seed's story: a seller offers a gig, a buyer finds it, orders it, gets the work and reviews it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from tests.support.stack import Stack

WEB_DEV = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

# The request bodies of the user's design, word for word.
SEED_GIG: dict[str, Any] = {
    "title": "Professional Website Development",
    "description": "I'll build you a responsive website",
    "categoryId": WEB_DEV,
    "tags": ["frontend", "web"],
    "packages": [
        {
            "title": "Basic Website",
            "description": "5-page site",
            "price": 500,
            "deliveryDays": 14,
            "features": ["Responsive Design", "Contact Form"],
        }
    ],
}
SEED_PACKAGE: dict[str, Any] = {
    "title": "Premium Website",
    "description": "10-page site with CMS",
    "price": 1000,
    "deliveryDays": 21,
    "features": ["CMS Included", "SEO Setup"],
}
AN_EXTRA: dict[str, Any] = {"title": "Two days earlier", "price": 59.99, "extraDays": -2}
SEED_REVIEW: dict[str, Any] = {"rating": 5, "comment": "Excellent work! Delivered early."}


# The actions whose paths do not end with their names.
OTHER_PATHS = {
    "extend": "extension",
    "accept_extension": "extension/accept",
    "decline_extension": "extension/decline",
}


def a_name(prefix: str) -> str:
    """Return a user's name that no other test has."""
    return f"{prefix}-{uuid4().hex[:12]}"


def a_gig(**changed: Any) -> dict[str, Any]:
    """Return a gig's body; `price=5` and the like change its one package."""
    package = dict(SEED_GIG["packages"][0])
    for field in ("price", "deliveryDays", "revisions", "extras"):
        if field in changed:
            package[field] = changed.pop(field)
    return {**SEED_GIG, "packages": [package], **changed}


def action_path(order: str, action: str) -> str:
    """Return the path of an action on an order, as `actions` names it."""
    return f"/api/orders/{order}/{OTHER_PATHS.get(action, action)}"


def ok(answer: httpx.Response, status: int = 200) -> Any:
    """Return the JSON of a response that must have this status."""
    assert answer.status_code == status, (
        f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    )
    return answer.json() if answer.content else None


def refused_fields(answer: httpx.Response) -> list[str]:
    """Return the fields that a 400 names."""
    assert answer.status_code == 400, answer.text
    return [detail["field"] for detail in answer.json()["details"]]


@dataclass
class Market:
    """A seller and a buyer of their own, signed in."""

    seller: httpx.Client
    buyer: httpx.Client
    anyone: httpx.Client
    admin: httpx.Client

    @classmethod
    def of(cls, stack: Stack) -> Market:
        """Sign in new people."""
        seller = stack.client(a_name("seller"), "seller")
        admin = stack.client(a_name("admin"), "admin")
        return cls(seller, stack.client(a_name("buyer"), "buyer"), stack.client(), admin)

    def gig(self, **changed: Any) -> dict[str, Any]:
        """Create a gig. Return it as its page shows it."""
        made = ok(self.seller.post("/api/gigs", json=a_gig(**changed)), 201)
        gig: dict[str, Any] = ok(self.seller.get(f"/api/gigs/{made['id']}"))
        return gig

    def order(self, gig: dict[str, Any]) -> str:
        """Place an order of a gig's first package. Return its id."""
        return str(ok(self.buyer.post("/api/orders", json=self.order_request(gig)), 201)["orderId"])

    def order_request(self, gig: dict[str, Any], card: str = "") -> dict[str, Any]:
        """Return the body with which a buyer orders a gig's first package."""
        order_request = {
            "packageId": gig["packages"][0]["id"],
            "requirements": "Need dark theme",
            "paymentMethod": "stripe",
        }
        return {**order_request, "paymentToken": card} if card else order_request

    def delivered(self, gig: dict[str, Any]) -> str:
        """Bring a new order to DELIVERED. Return its id."""
        order = self.order(gig)
        ok(self.seller.post(f"/api/orders/{order}/accept"))
        ok(self.seller.post(f"/api/orders/{order}/deliver", json={"message": "Here it is"}))
        return order

    def completed(self, gig: dict[str, Any]) -> str:
        """Bring a new order to COMPLETED. Return its id."""
        order = self.delivered(gig)
        ok(self.buyer.post(f"/api/orders/{order}/complete"))
        return order

    def review(self, order: str, rating: int = 5) -> dict[str, Any]:
        """Submit a review of an order. Return the response."""
        body = {**SEED_REVIEW, "rating": rating}
        review: dict[str, Any] = ok(self.buyer.post(f"/api/orders/{order}/review", json=body), 201)
        return review


def whole_story(stack: Stack) -> None:
    """Do all of it once, without a second try of anything."""
    market = Market.of(stack)
    gig = market.gig()
    results = ok(market.anyone.get("/api/gigs", params={"sellerId": gig["seller"]["id"]}))["results"]
    assert [result["id"] for result in results] == [gig["id"]]
    order = market.delivered(gig)
    assert market.review(order)["newAverageRating"] == 5
    ok(market.buyer.post(f"/api/orders/{order}/complete"))


def story_passes(stack: Stack) -> bool:
    """Whether the whole story passes now."""
    try:
        whole_story(stack)
    except (AssertionError, httpx.HTTPError):
        return False
    return True
