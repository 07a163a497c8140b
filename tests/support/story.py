"""The seed's story: a seller offers, a buyer finds, orders, gets and reviews."""

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
SEED_REVIEW: dict[str, Any] = {"rating": 5, "comment": "Excellent work! Delivered early."}


def a_name(prefix: str) -> str:
    """A user's name that no other test has."""
    return f"{prefix}-{uuid4().hex[:12]}"


def a_gig(**changed: Any) -> dict[str, Any]:
    """A gig's body; `price=5` and the like change its one package."""
    package = dict(SEED_GIG["packages"][0])
    for field in ("price", "deliveryDays", "revisions"):
        if field in changed:
            package[field] = changed.pop(field)
    return {**SEED_GIG, "packages": [package], **changed}


def ok(answer: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer that must have this status."""
    assert answer.status_code == status, (
        f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    )
    return answer.json() if answer.content else None


@dataclass
class Market:
    """A seller and a buyer of their own, signed in."""

    seller: httpx.Client
    buyer: httpx.Client
    anyone: httpx.Client
    admin: httpx.Client

    @classmethod
    def of(cls, stack: Stack) -> Market:
        """Two new people."""
        seller = stack.client(a_name("seller"), "seller")
        admin = stack.client(a_name("admin"), "admin")
        return cls(seller, stack.client(a_name("buyer"), "buyer"), stack.client(), admin)

    def gig(self, **changed: Any) -> dict[str, Any]:
        """A new gig as its page shows it."""
        made = ok(self.seller.post("/api/gigs", json=a_gig(**changed)), 201)
        gig: dict[str, Any] = ok(self.seller.get(f"/api/gigs/{made['id']}"))
        return gig

    def order(self, gig: dict[str, Any]) -> str:
        """The id of a new order of a gig's first package."""
        return str(ok(self.buyer.post("/api/orders", json=self.order_request(gig)), 201)["orderId"])

    def order_request(self, gig: dict[str, Any], card: str = "") -> dict[str, Any]:
        """What a buyer sends to have a gig's first package."""
        order_request = {
            "packageId": gig["packages"][0]["id"],
            "requirements": "Need dark theme",
            "paymentMethod": "stripe",
        }
        return {**order_request, "paymentToken": card} if card else order_request

    def delivered(self, gig: dict[str, Any]) -> str:
        """The id of a new order that is DELIVERED."""
        order = self.order(gig)
        ok(self.seller.post(f"/api/orders/{order}/accept"))
        ok(self.seller.post(f"/api/orders/{order}/deliver", json={"message": "Here it is"}))
        return order

    def completed(self, gig: dict[str, Any]) -> str:
        """The id of a new order that is COMPLETED."""
        order = self.delivered(gig)
        ok(self.buyer.post(f"/api/orders/{order}/complete"))
        return order

    def review(self, order: str, rating: int = 5) -> dict[str, Any]:
        """A new review of an order."""
        body = {**SEED_REVIEW, "rating": rating}
        review: dict[str, Any] = ok(self.buyer.post(f"/api/orders/{order}/review", json=body), 201)
        return review
