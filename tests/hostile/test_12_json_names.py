"""Names of JSON members in other spellings: a wrong type is refused under each of them."""

from __future__ import annotations

import pytest

from tests.fuzz import Options
from tests.fuzz.json import fuzz
from tests.support.bystanders import bystanders
from tests.support.stack import Stack
from tests.support.story import Market, ok


@pytest.mark.parametrize(
    "body",
    [
        r'{"pri\u0063e": "5"}',
        r'{"\u0070\u0072\u0069\u0063\u0065": "5"}',
        r'{"price": 5, "pri\u0063e": "5"}',
        r'{"pri\u0063e": "5", "price": 5}',
        "{'price': \"5\"}",
        '{price: "5"}',
        '{"price": "5",}',
        '\f{"price": "5"}',
        r'{"price": "5", "x": "\q"}',
        '{"delivery_days": "7"}',
        r'{"delivery\u005fdays": "7"}',
        r'{"delivery\u005Fda\u0079s": 7.5}',
        '{"deliveryDays": 7, "delivery_days": "7"}',
    ],
)
def test_a_wrong_type_is_refused_under_every_spelling_of_its_name(stack: Stack, body: str) -> None:
    market = Market.of(stack)
    gig = market.gig()
    path = f"/api/gigs/{gig['id']}/packages"
    whole = '{"title": "a", "description": "b", "features": [], "price": 5, "deliveryDays": 7, ' + body.lstrip("\f")[1:]
    for each in (body, whole if body[0] == "{" else f"\f{whole}"):
        refused = market.seller.post(path, content=each, headers={"content-type": "application/json"})
        assert refused.status_code == 400, (each, refused.text)

    assert ok(market.seller.get(f"/api/gigs/{gig['id']}"))["packages"] == gig["packages"]


@pytest.mark.parametrize("name", ["amount", r"am\u006funt", r"\u0061mount"])
def test_a_payout_of_a_text_is_refused(stack: Stack, name: str) -> None:
    market = Market.of(stack)
    order = market.completed(market.gig())
    before = ok(market.seller.get("/api/balance"))

    refused = market.seller.post(
        "/api/payouts", content=f'{{"{name}": "5"}}', headers={"content-type": "application/json"}
    )

    assert (refused.status_code, refused.json()["details"][0]["field"]) == (400, "amount"), (order, refused.text)
    assert ok(market.seller.get("/api/balance")) == before


def test_mutated_bodies_are_refused_or_taken_as_an_independent_reader_takes_them(stack: Stack) -> None:
    with bystanders(stack) as others:
        result = fuzz(stack, Options(seed=12, seconds=60, inputs=600))
    others.require_served()

    assert result.inputs == 600
    assert not result.faults, result.faults[:5]
