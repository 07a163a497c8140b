"""Idempotency keys through the real edge."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from order_service.payments.sandbox import scenarios
from tests.support.stack import Stack
from tests.support.story import SEED_PACKAGE, SEED_REVIEW, Market, a_gig, a_name, ok

KEY = {"idempotency-key": "the same"}


def same(first: httpx.Response, second: httpx.Response) -> None:
    """Both are the same 201, with the same headers about what was made."""
    assert (first.status_code, second.status_code) == (201, 201), (first.text, second.text)
    assert second.json() == first.json()
    for name in ("location", "etag"):
        assert second.headers.get(name) == first.headers.get(name)


def test_every_post_that_makes_something_makes_it_once(market: Market) -> None:
    gig = market.gig()
    order = market.delivered(gig)
    market.completed(gig)
    calls: list[tuple[httpx.Client, str, dict[str, Any]]] = [
        (market.seller, "/api/gigs", a_gig()),
        (market.seller, f"/api/gigs/{gig['id']}/packages", SEED_PACKAGE),
        (market.buyer, "/api/orders", market.order_request(gig)),
        (market.buyer, f"/api/orders/{order}/review", SEED_REVIEW),
        (market.seller, "/api/payouts", {"amount": 1}),
        (market.admin, f"/api/sellers/{gig['seller']['id']}/adjustments", {"amount": -1, "message": "Paid twice"}),
    ]

    for client, path, body in calls:
        same(client.post(path, json=body, headers=KEY), client.post(path, json=body, headers=KEY))

    assert len(ok(market.anyone.get(f"/api/gigs/{gig['id']}/packages"))["packages"]) == 2
    assert len(ok(market.buyer.get("/api/orders"))["results"]) == 3
    assert ok(market.anyone.get(f"/api/gigs/{gig['id']}/reviews"))["total"] == 1
    assert len(ok(market.seller.get("/api/payouts"))["results"]) == 1
    assert ok(market.seller.get("/api/balance"))["available"] == 450 - 1 - 1


def test_a_repeat_after_the_gig_was_deleted_gets_the_first_answer(market: Market) -> None:
    gig = market.gig()
    made = market.seller.post("/api/gigs", json=a_gig(), headers=KEY)
    placed = market.buyer.post("/api/orders", json=market.order_request(gig), headers=KEY)
    for each in (gig["id"], made.json()["id"]):
        ok(market.seller.delete(f"/api/gigs/{each}"), 204)

    same(made, market.seller.post("/api/gigs", json=a_gig(), headers=KEY))
    same(placed, market.buyer.post("/api/orders", json=market.order_request(gig), headers=KEY))
    assert market.buyer.post("/api/orders", json=market.order_request(gig)).status_code == 404


def test_fifty_clients_at_once_place_one_order(stack: Stack, market: Market) -> None:
    request = market.order_request(market.gig(), scenarios.SLOW)
    name = a_name("buyer")

    def place(_: int) -> str:
        with stack.client(name, "buyer") as client:
            while True:
                answer = client.post("/api/orders", json=request, headers=KEY)
                # 429: one user's calls have half of the places at the provider.
                if answer.status_code not in (429, 503):
                    return str(ok(answer, 201)["orderId"])
                assert answer.headers["retry-after"]

    with ThreadPoolExecutor(50) as pool:
        orders = set(pool.map(place, range(50)))

    with stack.client(name, "buyer") as client:
        assert [order["orderId"] for order in ok(client.get("/api/orders"))["results"]] == list(orders)


@pytest.mark.parametrize(
    "key", [b"", b"x" * 256, b"\xc3\xa4", b"\xff\xfe"], ids=["empty", "too long", "UTF-8", "bytes"]
)
def test_a_key_that_is_none_is_named(market: Market, key: bytes) -> None:
    headers = [(b"authorization", market.seller.headers["authorization"].encode()), (b"idempotency-key", key)]

    answer = httpx.post(market.seller.base_url.join("/api/gigs"), json=a_gig(), headers=headers)

    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "Idempotency-Key"), answer.text


def test_keys_say_nothing_where_nothing_is_made(market: Market) -> None:
    order = market.order(market.gig())
    long = {"idempotency-key": "x" * 300}

    assert market.seller.post(f"/api/orders/{order}/accept", headers=long).status_code == 200
    assert market.seller.post(f"/api/orders/{order}/accept", headers=long).status_code == 409
    assert market.anyone.get("/api/categories", headers=long).status_code == 200
