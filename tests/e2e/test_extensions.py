"""More time for an order, through the real edge: as JSON, as events of its watch, and as errors."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.support.events import parse
from tests.support.eventually import eventually
from tests.support.look_alikes.streams import Listener, SseListener
from tests.support.stack import Stack
from tests.support.story import Market, a_name, ok, refused_fields

MESSAGE = "The host is down until Thursday"


@pytest.fixture
def order(market: Market) -> str:
    """Return an order IN_PROGRESS."""
    placed = market.order(market.gig())
    ok(market.seller.post(f"/api/orders/{placed}/accept"))
    return placed


def ask(market: Market, order: str, days: int = 5) -> dict[str, Any]:
    body = {"days": days, "message": MESSAGE}
    asked: dict[str, Any] = ok(market.seller.post(f"/api/orders/{order}/extension", json=body))
    return asked


def due(shown: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(shown["dueDate"])


def history(market: Market, order: str) -> list[tuple[str, ...]]:
    events = ok(market.buyer.get(f"/api/orders/{order}/events"))["events"]
    return [tuple(event[name] for name in ("by", "action", "from", "to", "message")) for event in events[2:]]


def told_by(watch: Listener) -> list[dict[str, Any]]:
    """Return the events of a stream; its first text is its headers."""
    return parse(watch.text.partition("\n")[2] + "\n")


def test_the_due_date_moves_when_the_buyer_accepts_more_time(market: Market, order: str) -> None:
    before = ok(market.buyer.get(f"/api/orders/{order}"))
    assert "extension" not in before

    asked = ask(market, order)

    assert asked["extension"] == {"days": 5, "message": MESSAGE, "at": asked["updatedAt"]}
    shown = ok(market.buyer.get(f"/api/orders/{order}"))
    assert (shown["extension"], due(shown)) == (asked["extension"], due(before))
    assert shown["actions"] == ["accept_extension", "decline_extension"]
    [listed] = ok(market.buyer.get("/api/orders"))["results"]
    assert listed["extension"] == asked["extension"]

    accepted = ok(market.buyer.post(f"/api/orders/{order}/extension/accept", json={"message": "Fine"}))

    assert ("extension" in accepted, due(accepted)) == (False, due(before) + timedelta(days=5))
    assert history(market, order) == [
        ("seller", "extend", "IN_PROGRESS", "IN_PROGRESS", MESSAGE),
        ("buyer", "accept_extension", "IN_PROGRESS", "IN_PROGRESS", "Fine"),
    ]


def test_an_answer_needs_no_body_and_a_request_no_message(market: Market, order: str) -> None:
    asked = ok(market.seller.post(f"/api/orders/{order}/extension", json={"days": 1}))

    declined = ok(market.buyer.post(f"/api/orders/{order}/extension/decline"))

    assert asked["extension"]["message"] == ""
    assert ("extension" in declined, declined["dueDate"]) == (False, asked["dueDate"])


def test_a_second_request_or_an_answer_to_none_is_a_conflict(market: Market, order: str) -> None:
    path = f"/api/orders/{order}/extension"
    for answer in ("accept", "decline"):
        assert ok(market.buyer.post(f"{path}/{answer}"), 409)["code"] == "INVALID_TRANSITION"
    ask(market, order)

    second = ok(market.seller.post(path, json={"days": 2}), 409)

    assert second["code"] == "INVALID_TRANSITION"
    assert "what you can do now: deliver, cancel" in second["error"]


@pytest.mark.parametrize("days", [0, 91, -1, None])
def test_a_request_without_good_days_is_refused(market: Market, order: str, days: int | None) -> None:
    body = {} if days is None else {"days": days}

    assert refused_fields(market.seller.post(f"/api/orders/{order}/extension", json=body)) == ["days"]


def test_the_wrong_person_is_refused_and_a_stranger_finds_nothing(stack: Stack, market: Market, order: str) -> None:
    path, body = f"/api/orders/{order}/extension", {"days": 5}
    with stack.client(a_name("stranger"), "seller", "buyer") as stranger:
        for end in ("", "/accept", "/decline"):
            assert ok(stranger.post(path + end, json=body), 404)["error"] == "Order not found"
    assert market.anyone.post(path, json=body).status_code == 401
    assert market.seller.post(f"/api/orders/{uuid4()}/extension", json=body).status_code == 404
    assert market.seller.post(f"{path}/extend", json=body).status_code == 404

    for client in (market.buyer, market.admin):
        assert ok(client.post(path, json=body), 403)["code"] == "FORBIDDEN"
    ask(market, order)
    for client in (market.seller, market.admin):
        assert ok(client.post(f"{path}/accept"), 403)["code"] == "FORBIDDEN"


def test_a_delivery_closes_the_request(market: Market, order: str) -> None:
    ask(market, order)

    delivered = ok(market.seller.post(f"/api/orders/{order}/deliver"))

    assert "extension" not in delivered
    assert ok(market.buyer.post(f"/api/orders/{order}/extension/accept"), 409)["code"] == "INVALID_TRANSITION"


def test_a_watch_of_the_order_tells_of_the_request_and_of_the_answer(market: Market, order: str) -> None:
    with SseListener(market.buyer, f"/api/orders/{order}/watch") as watch:
        ask(market, order)
        ok(market.buyer.post(f"/api/orders/{order}/extension/accept"))

        eventually(lambda: len(told_by(watch)) == 4)

    asked, accepted = (event["data"] for event in told_by(watch)[2:])
    assert (asked["action"], asked["message"], accepted["action"]) == ("extend", MESSAGE, "accept_extension")
