"""Reviews over HTTP: lists, replies, and what becomes of them when gigs and orders go."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import Market, a_name, ok

THANKS = {"text": "Thank you!"}


def listed(market: Market, gig: dict[str, Any], **params: Any) -> dict[str, Any]:
    """Return a page of the gig's reviews, as everybody sees it."""
    page: dict[str, Any] = ok(market.anyone.get(f"/api/gigs/{gig['id']}/reviews", params=params))
    return page


def is_shown(market: Market, gig: dict[str, Any], rating: float, count: int) -> bool:
    """Return whether the gig's page shows this rating of so many reviews."""
    page = ok(market.anyone.get(f"/api/gigs/{gig['id']}"))
    return bool((page["rating"], page["reviewCount"]) == (rating, count))


def test_a_reply_answers_the_review_as_the_list_shows_it(market: Market) -> None:
    gig = market.gig()
    order = market.delivered(gig)
    review = market.review(order, rating=4)["reviewId"]
    assert "reply" not in listed(market, gig)["results"][0]

    replied = ok(market.seller.post(f"/api/reviews/{review}/reply", json={"text": "  Thank you!\r\nSee you. "}))

    assert listed(market, gig)["results"] == [replied]
    assert set(replied) == {"id", "orderId", "buyer", "rating", "comment", "createdAt", "reply"}
    assert (replied["id"], replied["orderId"], replied["rating"]) == (review, order, 4)
    assert set(replied["reply"]) == {"text", "at"}
    assert replied["reply"]["text"] == "Thank you!\nSee you."
    assert replied["reply"]["at"] >= replied["createdAt"]


def test_a_reply_is_the_sellers_once(stack: Stack, market: Market) -> None:
    path = f"/api/reviews/{market.review(market.delivered(market.gig()))['reviewId']}/reply"
    with stack.client(a_name("seller"), "seller") as other:
        for client in (other, market.buyer, market.admin):
            assert client.post(path, json=THANKS).json()["code"] == "FORBIDDEN"
    assert market.anyone.post(path, json=THANKS).json()["code"] == "UNAUTHORIZED"

    ok(market.seller.post(path, json=THANKS))

    assert market.seller.post(path, json=THANKS).json()["code"] == "ALREADY_REPLIED"
    for unknown in (uuid4(), "nonsense"):
        answer = market.seller.post(f"/api/reviews/{unknown}/reply", json=THANKS)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    for text in ("", " ", "x" * 2001, 5, None):
        assert market.seller.post(path, json={"text": text}).status_code == 400


def test_a_list_is_filtered_and_sorted_and_paged(market: Market) -> None:
    gig = market.gig()
    stars = (5, 1, 4, 5, 1)
    for rating in stars:
        market.review(market.delivered(gig), rating)

    for sort, expected in (("newest", [1, 5, 4, 1, 5]), ("rating", [1, 1, 4, 5, 5]), ("-rating", [5, 5, 4, 1, 1])):
        seen, page_token = [], ""
        while True:
            page = listed(market, gig, sort=sort, pageSize=2, **({"pageToken": page_token} if page_token else {}))
            seen += [review["rating"] for review in page["results"]]
            if "nextPageToken" not in page:
                break
            page_token = page["nextPageToken"]
        assert seen == expected

    ones = listed(market, gig, rating=1, pageSize=1)
    assert ([review["rating"] for review in ones["results"]], ones["total"]) == ([1], 2)
    assert (ones["averageRating"], ones["histogram"]) == (3.2, {"1": 2, "2": 0, "3": 0, "4": 1, "5": 2})
    path = f"/api/gigs/{gig['id']}/reviews"
    for query in ("rating=5", "rating=1&sort=rating", "sort=rating"):
        answer = market.anyone.get(f"{path}?{query}&pageToken={ones['nextPageToken']}")
        assert answer.json()["details"][0]["field"] == "pageToken"


def test_an_order_of_a_deleted_gig_is_reviewed_and_the_review_gets_its_reply(market: Market) -> None:
    gig = market.gig()
    order = market.delivered(gig)
    ok(market.seller.delete(f"/api/gigs/{gig['id']}"), 204)

    review = market.review(order, rating=3)

    assert (review["gigId"], review["newAverageRating"]) == (gig["id"], 3)
    assert ok(market.seller.post(f"/api/reviews/{review['reviewId']}/reply", json=THANKS))["reply"]["text"]
    assert market.seller.get(f"/api/gigs/{gig['id']}/reviews").status_code == 404


def test_a_review_of_a_paused_gig_gets_its_reply(market: Market) -> None:
    gig = market.gig()
    review = market.review(market.delivered(gig))
    ok(market.seller.patch(f"/api/gigs/{gig['id']}/status", json={"status": "PAUSED"}))

    replied = ok(market.seller.post(f"/api/reviews/{review['reviewId']}/reply", json=THANKS))

    assert ok(market.seller.get(f"/api/gigs/{gig['id']}/reviews"))["results"] == [replied]
    assert market.anyone.get(f"/api/gigs/{gig['id']}/reviews").status_code == 404


def test_a_review_stays_when_its_order_is_cancelled_by_a_dispute(market: Market) -> None:
    gig = market.gig()
    order = market.delivered(gig)
    review = market.review(order, rating=2)["reviewId"]
    before = listed(market, gig)

    ok(market.buyer.post(f"/api/orders/{order}/dispute", json={"message": "It is not what I ordered"}))
    resolution = {"outcome": "CANCELLED", "message": "Refunded"}
    assert ok(market.admin.post(f"/api/orders/{order}/resolve", json=resolution))["status"] == "CANCELLED"

    assert listed(market, gig) == before
    eventually(lambda: ok(market.anyone.get(f"/api/gigs/{gig['id']}"))["reviewCount"] == 1)
    assert market.buyer.post(f"/api/orders/{order}/review", json={"rating": 5}).status_code == 409
    assert ok(market.seller.post(f"/api/reviews/{review}/reply", json=THANKS))["reply"]["text"] == "Thank you!"


@pytest.mark.parametrize("seed", range(2))
def test_the_same_average_is_shown_everywhere(market: Market, seed: int) -> None:
    gig = market.gig()
    # The first four come to 4.25, which is shown as 4.3: neither 4.2, as half to even, nor 4.25.
    stars = [5, 4, 4, 4, *Random(seed).choices(range(1, 6), k=6)]

    for number, rating in enumerate(stars, start=1):
        expected = (20 * sum(stars[:number]) + number) // (2 * number) / 10
        assert market.review(market.delivered(gig), rating)["newAverageRating"] == expected
        page = listed(market, gig, rating=rating)
        assert page["averageRating"] == expected
        eventually(partial(is_shown, market, gig, expected, number))
        (result,) = ok(market.anyone.get("/api/gigs", params={"sellerId": gig["seller"]["id"]}))["results"]
        assert (result["rating"], result["reviewCount"]) == (expected, number)
