"""Request bodies: JSON, its types, bounds, texts and numbers, through the real edge to the real services."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.support.story import SEED_GIG, Market, a_gig, ok, refused_fields


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "[1]",
        '"text"',
        "17",
        "null",
        '{"title": }',
        '{"title": "\\ud800"}',
        '{"a":' * 200 + "1" + "}" * 200,
    ],
)
def test_a_body_that_is_no_object_of_ours_is_400_without_a_word_of_the_inside(market: Market, body: str) -> None:
    answer = market.seller.post("/api/gigs", content=body, headers={"content-type": "application/json"})

    error = ok(answer, 400)
    assert error["code"] == "INVALID_ARGUMENT"
    for inner in ("TYPE_", "google", "proto", "marketplace.", "INVALID_ARGUMENT:"):
        assert inner not in error["error"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"title": 5}, "title"),
        ({"tags": "web"}, "tags"),
        ({"packages": [{**SEED_GIG["packages"][0], "price": "cheap"}]}, "packages[0].price"),
        ({"packages": [{**SEED_GIG["packages"][0], "deliveryDays": 1.5}]}, "packages[0].deliveryDays"),
        (
            {"packages": [SEED_GIG["packages"][0], {**SEED_GIG["packages"][0], "features": [1]}]},
            "packages[1].features[0]",
        ),
    ],
)
def test_a_wrong_json_type_is_found_alone_and_named(market: Market, change: dict[str, Any], named: str) -> None:
    assert refused_fields(market.seller.post("/api/gigs", json={**SEED_GIG, **change})) == [named]


def test_numbers_that_are_none_are_400_in_bodies(market: Market) -> None:
    for number in ("NaN", "Infinity", "1e999"):
        body = json.dumps(a_gig(price=0)).replace('"price": 0', f'"price": {number}')
        answer = market.seller.post("/api/gigs", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
    assert refused_fields(market.seller.post("/api/gigs", json=a_gig(price="NaN"))) == ["packages[0].price"]


def test_every_bound_of_a_gig_is_named_at_once(market: Market) -> None:
    package = {"title": "x", "price": 0.001, "deliveryDays": 366, "revisions": 101, "features": ["x" * 101]}
    body = {"title": "x", "description": "", "categoryId": "", "tags": ["x" * 41], "packages": [package]}

    named = refused_fields(market.seller.post("/api/gigs", json=body))

    assert set(named) == {
        "title",
        "description",
        "categoryId",
        "tags[0]",
        "packages[0].title",
        "packages[0].price",
        "packages[0].deliveryDays",
        "packages[0].revisions",
        "packages[0].features[0]",
    }


def test_fifty_violations_are_told_at_most(market: Market) -> None:
    assert 0 < len(refused_fields(market.seller.post("/api/gigs", json={**SEED_GIG, "packages": [{}] * 60}))) <= 50


def test_unknown_json_fields_are_ignored_and_what_may_not_be_set_is_not(market: Market) -> None:
    body = {**SEED_GIG, "sellerId": str(uuid4()), "rating": 5, "status": "SUSPENDED", "colour": {"deep": [1]}}

    made = ok(market.seller.post("/api/gigs", json=body), 201)

    page = ok(market.anyone.get(f"/api/gigs/{made['id']}"))
    assert (page["status"], page["rating"], page["seller"]["id"]) == ("ACTIVE", 0, made["sellerId"])
    assert made["sellerId"] != body["sellerId"]


def test_texts_are_trimmed_composed_and_kept_in_unicode(market: Market) -> None:
    gig = market.gig(title="  Cafe\u0301 logo 🎨 ", tags=["  Web ", "WEB", "Ünï"])

    assert gig["title"] == "Caf\u00e9 logo 🎨"
    assert gig["tags"] == ["web", "ünï"]


def test_control_characters_and_blank_texts_are_400(market: Market) -> None:
    assert refused_fields(market.seller.post("/api/gigs", json=a_gig(title="a\x00bcd"))) == ["title"]
    assert refused_fields(market.seller.post("/api/gigs", json=a_gig(description="a\x0bb"))) == ["description"]
    assert refused_fields(market.seller.post("/api/gigs", json=a_gig(description="\u200b\u200d"))) == ["description"]
    assert refused_fields(market.seller.post("/api/gigs", json=a_gig(title="\U0001f600\U0001f600"))) == ["title"]


def test_money_is_exact(market: Market) -> None:
    for price in (0.01, 0.07, 4.35, 19.99, 999999.99, 1000000):
        assert market.gig(price=price)["packages"][0]["price"] == price
    for price in (0, -1, 0.001, 1000000.01, 19.999):
        assert refused_fields(market.seller.post("/api/gigs", json=a_gig(price=price))) == ["packages[0].price"]


def test_two_megabytes_in_chunks_are_refused_while_they_come(market: Market) -> None:
    def pieces() -> Any:
        yield b'{"title": "'
        for _ in range(64):
            yield b"x" * 32_768
        yield b'"}'

    answer = market.seller.post("/api/gigs", content=pieces(), headers={"content-type": "application/json"})

    assert ok(answer, 413)["code"] == "PAYLOAD_TOO_LARGE"
