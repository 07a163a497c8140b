"""Queries: which are taken, and how the others are refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from marketplace.gig.v1 import gig_pb2
from tests.support.edge import Edge, assert_refused, details_of, get


def searched(edge: Edge) -> dict[str, Any]:
    """Return the fields that reached SearchGigs."""
    request = edge.gig.last().request
    return {field.name: getattr(request, field.name) for field, _ in request.ListFields()}


def test_every_parameter_of_a_search_arrives(edge: Edge, api: httpx.Client) -> None:
    query = (
        "category=web-dev&minPrice=0.5&maxPrice=1e3&maxDeliveryDays=14&q=web+site&tags=a&tags=b&minRating=4"
        "&sellerId=0190A000-0000-7000-8000-000000000001&status=PAUSED&sort=-price&pageSize=5&pageToken=ab%3D%3D"
    )

    assert api.get(f"/api/gigs?{query}").status_code == 200
    assert searched(edge) == {
        "category": "web-dev",
        "min_price": 0.5,
        "max_price": 1000.0,
        "max_delivery_days": 14,
        "q": "web site",
        "tags": ["a", "b"],
        "min_rating": 4.0,
        "seller_id": "0190A000-0000-7000-8000-000000000001",
        "status": gig_pb2.Gig.PAUSED,
        "sort": "-price",
        "page_size": 5,
        "page_token": "ab==",
    }


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("q=a+b", "a b"),
        ("q=a%20b", "a b"),
        ("q=a%2Bb", "a+b"),
        ("q=%C3%A4", "ä"),
        ("q=a%26b%3Dc", "a&b=c"),
        ("q=a=b", "a=b"),
        ("q=%E2%82%AC%F0%9F%98%80", "€😀"),
        ("%71=a", "a"),
        ("q=100%25", "100%"),
    ],
)
def test_a_text_arrives_as_it_was_meant(edge: Edge, api: httpx.Client, query: str, words: str) -> None:
    assert api.get(f"/api/gigs?{query}").status_code == 200
    assert searched(edge) == {"q": words}


@pytest.mark.parametrize(
    "query", ["", "q=", "q", "q=&tags=&pageSize=&minPrice=&status=", "&", "&&q=&", "sort=&sort=", "="]
)
def test_an_empty_value_is_as_if_it_were_not_there(edge: Edge, api: httpx.Client, query: str) -> None:
    assert api.get(f"/api/gigs?{query}").status_code == 200
    assert searched(edge) == {}


def test_an_empty_value_beside_a_full_one_does_not_double_it(edge: Edge, api: httpx.Client) -> None:
    assert api.get("/api/gigs?q=&q=a&q=").status_code == 200
    assert searched(edge) == {"q": "a"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("unknown=1", "unknown"),
        ("min_price=1", "min_price"),
        ("min%5Fprice=1", "min_price"),
        ("%6din_price=1", "min_price"),
        ("%6dinPrice=abc", "minPrice"),
        ("Q=a", "Q"),
        ("minprice=1", "minprice"),
        ("access_token=a.b.c", "access_token"),
        ("gigId=1", "gigId"),
        ("q=a&q=b", "q"),
        ("q=a&%71=b", "q"),
        ("sort=price&sort=price", "sort"),
        ("minPrice=abc", "minPrice"),
        ("minPrice=NaN", "minPrice"),
        ("minPrice=Infinity", "minPrice"),
        ("minPrice=-inf", "minPrice"),
        ("minPrice=1e999", "minPrice"),
        ("minPrice=0x10", "minPrice"),
        ("minPrice=1,5", "minPrice"),
        ("minPrice=+1", "minPrice"),
        ("minPrice=%22%22", "minPrice"),
        ("pageSize=abc", "pageSize"),
        ("pageSize=1.5", "pageSize"),
        ("pageSize=1e1", "pageSize"),
        ("pageSize=2147483648", "pageSize"),
        ("pageSize=99999999999999999999", "pageSize"),
        ("pageSize=-2147483649", "pageSize"),
        ("pageSize=%31%20", "pageSize"),
        ("status=1", "status"),
        ("status=active", "status"),
        ("status=STATUS_UNSPECIFIED", "status"),
        ("status=NONSENSE", "status"),
        ("q=%FF", "q"),
        ("q=%C3", "q"),
        ("q=%ED%A0%80", "q"),
        ("q=%C0%80", "q"),
        ("q=%F4%90%80%80", "q"),
        ("q=%", "q"),
        ("q=%4", "q"),
        ("q=%zz", "q"),
        ("minPrice=%FF", "minPrice"),
    ],
)
def test_a_wrong_parameter_is_named(edge: Edge, query: str, field: str) -> None:
    assert list(details_of(edge.raw(get(f"/api/gigs?{query}")))) == [field]
    assert edge.received() == 0


def test_all_that_is_wrong_is_said_at_once(api: httpx.Client) -> None:
    details = details_of(
        api.get("/api/gigs?pageSize=x&minPrice=y&nonsense=1&q=a&q=b&tags=a&tags=b&status=1&sort=price")
    )

    assert details == {
        "pageSize": "must be a whole number",
        "minPrice": "must be a number",
        "nonsense": "is not a parameter of this request",
        "q": "must not be given more than once",
        "status": "must be one of ACTIVE, PAUSED, SUSPENDED",
    }


def test_the_first_violation_is_told_in_words_as_well(api: httpx.Client) -> None:
    body = assert_refused(api.get("/api/gigs?pageSize=x&minPrice=y"), 400, "INVALID_ARGUMENT")

    assert body["error"] == "pageSize: must be a whole number"


def test_no_more_than_fifty_violations_are_said(api: httpx.Client) -> None:
    assert len(details_of(api.get("/api/gigs?" + "&".join(f"x{n}=1" for n in range(60))))) == 50


def test_a_name_is_told_as_it_came_in_safe_json(edge: Edge, api: httpx.Client) -> None:
    details = details_of(api.get("/api/gigs?%22%5C%00%0A%C3%A4%3Cb%3E=1"))

    assert list(details) == ['"\\\0\nä<b>']


def test_a_long_name_is_cut_between_characters(api: httpx.Client) -> None:
    [name] = details_of(api.get("/api/gigs?" + "%E2%82%AC" * 100 + "=1"))

    assert name == "€" * 66


def test_a_name_that_cannot_be_decoded_is_refused(edge: Edge) -> None:
    assert "cannot be decoded" in details_of(edge.raw(get("/api/gigs?%FF=1"))).values()


@pytest.mark.parametrize("path", ["/api/categories", "/api/gigs/0190a000-0000-7000-8000-000000000001"])
def test_where_nothing_is_asked_for_nothing_is_taken(api: httpx.Client, path: str) -> None:
    assert list(details_of(api.get(f"{path}?q=a"))) == ["q"]


def test_a_call_with_a_body_takes_no_query(edge: Edge, api: httpx.Client) -> None:
    assert list(details_of(api.post("/api/gigs?title=a", json={}, headers=edge.bearer()))) == ["title"]
    assert edge.received() == 0


def test_a_number_below_zero_is_for_the_service_to_judge(edge: Edge, api: httpx.Client) -> None:
    assert api.get("/api/gigs?pageSize=-1&minPrice=-5.5").status_code == 200
    assert searched(edge) == {"page_size": -1, "min_price": -5.5}


def test_bytes_that_no_query_may_hold_are_refused(edge: Edge) -> None:
    assert_refused(edge.raw(get("/api/gigs?q=\xff")), 400, "INVALID_ARGUMENT")
