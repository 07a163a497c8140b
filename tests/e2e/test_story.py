"""The seed's requests as they stand, and what they answer to the letter (ids and times excepted)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from edge.tokens import user_id
from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import SEED_GIG, SEED_PACKAGE, SEED_REVIEW, Market, a_gig, a_name, ok

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def taken_out(body: dict[str, Any], *fields: str) -> list[str]:
    """Remove fields and return their values."""
    return [body.pop(field) for field in fields]


def test_create_a_gig_as_the_seed_does(stack: Stack) -> None:
    seller = a_name("webdev_pro")

    answer = stack.client(seller, "seller").post("/api/gigs", json=SEED_GIG)

    body = ok(answer, 201)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["location"] == f"/api/gigs/{body['id']}"
    identity, created = taken_out(body, "id", "createdAt")
    assert UUID.fullmatch(identity)
    assert SECONDS.fullmatch(created)
    assert body == {
        "title": "Professional Website Development",
        "sellerId": str(user_id(seller)),
        "status": "ACTIVE",
    }


def test_read_a_gig_as_the_seed_does(stack: Stack) -> None:
    seller = a_name("webdev_pro")
    gig = ok(stack.client(seller, "seller").post("/api/gigs", json=SEED_GIG), 201)

    answer = stack.client().get(f"/api/gigs/{gig['id']}")

    body = ok(answer)
    assert answer.headers["etag"].startswith('"')
    assert SECONDS.fullmatch(body["createdAt"])
    assert SECONDS.fullmatch(body["updatedAt"])
    assert UUID.fullmatch(body["packages"][0].pop("id"))
    taken_out(body, "createdAt", "updatedAt")
    assert body == {
        "id": gig["id"],
        "title": "Professional Website Development",
        "description": "I'll build you a responsive website",
        "categoryId": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "tags": ["frontend", "web"],
        "status": "ACTIVE",
        "rating": 0,
        "reviewCount": 0,
        "seller": {"id": str(user_id(seller)), "username": seller, "badges": []},
        "packages": [
            {
                "title": "Basic Website",
                "description": "5-page site",
                "price": 500,
                "deliveryDays": 14,
                "features": ["Responsive Design", "Contact Form"],
                "revisions": 0,
                "extras": [],
            }
        ],
        "images": [],
    }


def test_add_a_package_as_the_seed_does(market: Market) -> None:
    gig = market.gig()

    body = ok(market.seller.post(f"/api/gigs/{gig['id']}/packages", json=SEED_PACKAGE), 201)

    assert UUID.fullmatch(body.pop("id"))
    assert body == {"gigId": gig["id"], "title": "Premium Website"}


def test_place_an_order_as_the_seed_does(market: Market) -> None:
    gig = market.gig()
    order_request = {
        "packageId": gig["packages"][0]["id"],
        "requirements": "Need dark theme",
        "paymentMethod": "stripe",
    }

    answer = market.buyer.post("/api/orders", json=order_request)

    body = ok(answer, 201)
    assert answer.headers["location"] == f"/api/orders/{body['orderId']}"
    order, due = taken_out(body, "orderId", "dueDate")
    assert UUID.fullmatch(order)
    due_in = datetime.fromisoformat(due) - datetime.now(UTC)
    assert timedelta(days=14) - timedelta(minutes=1) < due_in <= timedelta(days=14)
    assert body == {
        "gigId": gig["id"],
        "gigTitle": "Professional Website Development",
        "package": "Basic Website",
        "price": 500,
        "status": "PENDING",
    }


def test_review_an_order_as_the_seed_does(market: Market) -> None:
    gig = market.gig()
    order = market.delivered(gig)

    body = ok(market.buyer.post(f"/api/orders/{order}/review", json=SEED_REVIEW), 201)

    assert UUID.fullmatch(body.pop("reviewId"))
    assert body == {"gigId": gig["id"], "newAverageRating": 5}


def test_the_gigs_rating_follows(market: Market) -> None:
    gig = market.gig()
    for rating in (5, 4, 4, 4):
        market.review(market.delivered(gig), rating)

    eventually(lambda: ok(market.anyone.get(f"/api/gigs/{gig['id']}"))["reviewCount"] == 4)

    assert ok(market.anyone.get(f"/api/gigs/{gig['id']}"))["rating"] == 4.3


def test_search_as_the_seed_does(stack: Stack) -> None:
    seller = a_name("webdev_pro")
    gig = ok(stack.client(seller, "seller").post("/api/gigs", json=SEED_GIG), 201)

    answer = stack.client().get(
        f"/api/gigs?category=web-dev&minPrice=300&maxPrice=1000&sort=newest&sellerId={user_id(seller)}"
    )

    assert ok(answer) == {
        "results": [
            {
                "id": gig["id"],
                "title": "Professional Website Development",
                "startingPrice": 500,
                "rating": 0,
                "reviewCount": 0,
                "seller": {"id": str(user_id(seller)), "username": seller, "badges": []},
                "thumbnail": "",
            }
        ],
        "total": 1,
        "totalIsEstimate": False,
    }


def test_errors_are_as_in_the_seed(stack: Stack, market: Market) -> None:
    gig = market.gig()
    stranger = stack.client(a_name("stranger"), "seller")

    unauthorized = stack.client().post("/api/gigs", json=SEED_GIG)
    forbidden = stranger.put(f"/api/gigs/{gig['id']}", json=a_gig())
    missing = stack.client().get("/api/gigs/550e8400-e29b-41d4-a716-446655440000")

    assert ok(unauthorized, 401) == {"error": "Authentication required", "code": "UNAUTHORIZED"}
    assert ok(forbidden, 403) == {
        "error": "You don't have permission to modify this gig",
        "code": "FORBIDDEN",
    }
    assert ok(missing, 404) == {"error": "Gig not found", "code": "NOT_FOUND"}


@pytest.mark.parametrize(
    ("method", "alias", "path"),
    [
        ("GET", "/gig", "/api/gigs"),
        ("GET", "/gig/", "/api/gigs"),
        ("GET", "/gig?category=web-dev", "/api/gigs?category=web-dev"),
        ("GET", "/gig/{id}", "/api/gigs/{id}"),
        ("GET", "/gig/{id}/packages", "/api/gigs/{id}/packages"),
        ("PATCH", "/gig/{id}/status", "/api/gigs/{id}/status"),
        ("PUT", "/gig/{id}", "/api/gigs/{id}"),
    ],
)
def test_the_seeds_second_spelling_is_the_same(market: Market, method: str, alias: str, path: str) -> None:
    gig = market.gig()
    body = {"PATCH": {"status": "ACTIVE"}, "PUT": a_gig()}.get(method)

    def ask(template: str) -> httpx.Response:
        return market.seller.request(method, template.format(id=gig["id"]), json=body)

    first, second = ask(alias), ask(path)

    assert ok(first).keys() == ok(second).keys()


def test_the_second_spelling_makes_and_deletes_too(market: Market) -> None:
    made = ok(market.seller.post("/gig", json=SEED_GIG), 201)

    assert market.seller.post(f"/gig/{made['id']}/packages", json=SEED_PACKAGE).status_code == 201
    assert market.seller.delete(f"/gig/{made['id']}").status_code == 204
