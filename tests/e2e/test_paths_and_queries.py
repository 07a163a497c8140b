"""Paths, ids, query parameters and pages, through the real edge to the real services."""

from __future__ import annotations

import json
from uuid import uuid4

import httpx
import pytest

from edge.tokens import user_id
from tests.support.stack import Stack
from tests.support.story import Market, a_gig, a_name, ok, refused_fields


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/",
        "/api/gigs/",
        "/api//gigs",
        "/api/Gigs",
        "/API/gigs",
        "/api/gigs/../categories/x",
        "/gigs",
        "/gig/{id}/",
        "/api/gigs/{id}/",
        "/api/gigs/{id}/nothing",
        "/api/orders/{id}/explode",
        "/marketplace.gig.v1.GigService/GetGig",
    ],
)
def test_a_path_that_is_not_known_is_404(market: Market, path: str) -> None:
    answer = market.anyone.get(path.format(id=market.gig()["id"]))

    assert ok(answer, 404)["code"] == "NOT_FOUND"


@pytest.mark.parametrize("method", ["ApplyRating", "GetPackageTerms", "DescribeGig"])
def test_rpcs_without_a_route_cannot_be_reached_from_outside(stack: Stack, method: str) -> None:
    with httpx.Client(base_url=stack.url, http1=False, http2=True) as client:
        headers = {"content-type": "application/grpc", "te": "trailers"}
        answer = client.post(f"/marketplace.gig.v1.GigService/{method}", headers=headers, content=b"\0\0\0\0\0")

    assert answer.status_code == 404
    assert answer.json()["code"] == "NOT_FOUND"


def test_an_order_action_that_does_not_exist_is_404_by_post_too(market: Market) -> None:
    assert market.buyer.post(f"/api/orders/{uuid4()}/explode").status_code == 404


@pytest.mark.parametrize("undecodable", ["%ff", "%", "%zz", "%00"])
def test_what_cannot_be_decoded_is_404_in_a_path_and_400_in_a_query(stack: Stack, undecodable: str) -> None:
    close = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    in_path, _, _ = stack.raw(f"GET /api/gigs/{undecodable}".encode() + close)
    in_query, _, body = stack.raw(f"GET /api/gigs?q={undecodable}".encode() + close)

    assert in_path == 404
    assert in_query == 400
    assert json.loads(body)["code"] == "INVALID_ARGUMENT"


def test_ids_are_matched_in_any_case_and_answered_in_lower_case(market: Market) -> None:
    gig = market.gig()

    assert ok(market.anyone.get(f"/api/gigs/{gig['id'].upper()}"))["id"] == gig["id"]


def test_an_id_that_is_no_uuid_is_404_in_a_path_and_400_elsewhere(market: Market) -> None:
    assert ok(market.anyone.get("/api/gigs/17"), 404) == {"error": "Gig not found", "code": "NOT_FOUND"}
    assert ok(market.buyer.get("/api/orders/17"), 404) == {"error": "Order not found", "code": "NOT_FOUND"}
    assert ok(market.anyone.get("/api/gigs/%0d%0aX:1"), 404) == {"error": "Gig not found", "code": "NOT_FOUND"}
    assert refused_fields(market.seller.post("/api/gigs", json=a_gig(categoryId="17"))) == ["categoryId"]
    assert refused_fields(market.anyone.get("/api/gigs?sellerId=17")) == ["sellerId"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("colour=red", ["colour"]),
        ("min_price=3", ["min_price"]),
        ("minprice=3", ["minprice"]),
        ("minPrice=1&minPrice=2", ["minPrice"]),
        ("minPrice=cheap", ["minPrice"]),
        ("minPrice=NaN", ["minPrice"]),
        ("minPrice=Infinity", ["minPrice"]),
        ("minPrice=1e999", ["minPrice"]),
        ("minPrice=1.005", ["minPrice"]),
        ("minPrice=-1", ["minPrice"]),
        ("maxDeliveryDays=1.5", ["maxDeliveryDays"]),
        ("maxDeliveryDays=99999999999", ["maxDeliveryDays"]),
        ("pageSize=-1", ["pageSize"]),
        ("pageSize=101", ["pageSize"]),
        ("pageToken=nonsense", ["pageToken"]),
        ("sort=random", ["sort"]),
        ("status=GONE", ["status"]),
        ("category=no-such-category", ["category"]),
        ("minPrice=10&maxPrice=9", ["minPrice"]),
        ("minRating=6", ["minRating"]),
        ("q=%07", ["q"]),
    ],
)
def test_a_query_parameter_that_is_wrong_is_400_and_named(market: Market, query: str, named: list[str]) -> None:
    assert refused_fields(market.anyone.get(f"/api/gigs?{query}")) == named


def test_several_wrong_parameters_are_named_at_once(market: Market) -> None:
    assert refused_fields(market.anyone.get("/api/gigs?colour=red&minPrice=cheap&pageSize=x")) == [
        "colour",
        "minPrice",
        "pageSize",
    ]


def test_an_empty_value_is_as_if_the_parameter_were_not_there(market: Market) -> None:
    query = "category=&minPrice=&maxPrice=&q=&tags=&sellerId=&status=&sort=&pageSize=&pageToken="

    assert (
        ok(market.anyone.get(f"/api/gigs?{query}&pageSize=1")).keys()
        == ok(market.anyone.get("/api/gigs?pageSize=1")).keys()
    )


def test_a_page_size_of_zero_is_the_default(market: Market) -> None:
    for number in range(3):
        market.gig(title=f"Gig number {number}")

    assert len(ok(market.anyone.get("/api/gigs?pageSize=0"))["results"]) > 1


def test_a_plus_in_a_query_is_a_space(market: Market) -> None:
    word = a_name("zebra").replace("-", "")
    gig = market.gig(title=f"Painting {word} stripes")

    page = ok(market.anyone.get(f"/api/gigs?q=painting+{word}"))

    assert [result["id"] for result in page["results"]] == [gig["id"]]


def test_pages_neither_skip_nor_repeat_while_gigs_are_added(stack: Stack) -> None:
    name = a_name("seller")
    seller = stack.client(name, "seller")
    first = {ok(seller.post("/api/gigs", json=a_gig(price=5)), 201)["id"] for _ in range(7)}
    query = {"sellerId": str(user_id(name)), "sort": "price", "pageSize": "3"}
    seen: list[str] = []
    token = ""

    while True:
        page = ok(seller.get("/api/gigs", params={**query, "pageToken": token}))
        seen += [result["id"] for result in page["results"]]
        ok(seller.post("/api/gigs", json=a_gig(price=1)), 201)
        token = page.get("nextPageToken", "")
        if not token:
            break

    assert len(seen) == len(set(seen))
    assert first <= set(seen)
    other = seller.get(
        "/api/gigs",
        params={**query, "sort": "newest", "pageToken": ok(seller.get("/api/gigs", params=query))["nextPageToken"]},
    )
    assert refused_fields(other) == ["pageToken"]
