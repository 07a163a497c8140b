"""Watches and the feed over HTTP, through the real edge."""

from __future__ import annotations

import json
import threading
from typing import Any
from uuid import uuid4

import pytest

from tests.support.events import last_id, parse
from tests.support.eventually import eventually
from tests.support.reading import reading
from tests.support.stack import Stack
from tests.support.story import Market, a_name, ok


def test_a_watch_sends_what_the_history_has_and_ends_after_the_last_change(market: Market) -> None:
    order = market.order(market.gig())
    with reading(market.buyer, f"/api/orders/{order}/watch") as watch:
        eventually(lambda: len(watch.events()) == 1)
        ok(market.seller.post(f"/api/orders/{order}/accept"))
        ok(market.seller.post(f"/api/orders/{order}/deliver", json={"message": "Voilà “it” is"}))
        eventually(lambda: len(watch.events()) == 3)
        ok(market.buyer.post(f"/api/orders/{order}/complete"))

        assert watch.is_over.wait(10)
    response = watch.response
    assert response is not None
    assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream")
    history = ok(market.buyer.get(f"/api/orders/{order}/events"))["events"]
    assert [event["data"] for event in watch.events()] == history
    # To the letter, numbers included.
    shown = [line.removeprefix("data: ") for line in watch.text.split("\n") if line.startswith("data: ")]
    assert shown == [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in history]


def test_who_comes_back_after_the_end_with_the_last_id_gets_204(market: Market) -> None:
    order = market.completed(market.gig())
    path = f"/api/orders/{order}/watch"
    everything = market.buyer.get(path)

    again = market.buyer.get(path, headers={"last-event-id": last_id(everything.text)})

    assert [event["id"] for event in parse(everything.text)] == ["1", "2", "3", "4"]
    assert (again.status_code, again.content) == (204, b"")


def test_what_is_refused_is_an_ordinary_json_error(stack: Stack, market: Market) -> None:
    order = market.order(market.gig())
    stranger = stack.client(a_name("stranger"), "buyer")
    path = f"/api/orders/{order}/watch"

    refused = [
        (stranger.get(path), 404, "NOT_FOUND"),
        (market.buyer.get(f"/api/orders/{uuid4()}/watch"), 404, "NOT_FOUND"),
        (market.anyone.get(path), 401, "UNAUTHORIZED"),
        (market.anyone.get("/api/watch"), 401, "UNAUTHORIZED"),
        (market.buyer.get(path, headers={"last-event-id": "2"}), 400, "INVALID_ARGUMENT"),
        (market.buyer.get("/api/watch", headers={"last-event-id": "x"}), 400, "INVALID_ARGUMENT"),
        (market.buyer.get("/api/events"), 403, "FORBIDDEN"),
        (market.admin.get("/api/events", params={"after": "x"}), 400, "INVALID_ARGUMENT"),
        (market.admin.get("/api/events", params={"wait": "31"}), 400, "INVALID_ARGUMENT"),
    ]

    for answer, status, code in refused:
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.headers["content-type"] == "application/json"


def test_all_that_is_new_for_a_user_comes_on_one_stream_and_can_be_resumed(market: Market) -> None:
    gig = market.gig()
    with reading(market.seller, "/api/watch") as watch:
        eventually(lambda: last_id(watch.text))
        first, second = market.order(gig), market.order(gig)
        eventually(lambda: len(watch.events()) == 2)
    ok(market.seller.post(f"/api/orders/{second}/decline"))

    with reading(market.seller, "/api/watch", last_event_id=last_id(watch.text)) as again:
        eventually(lambda: len(again.events()) == 1)

    events = [*watch.events(), *again.events()]
    assert [(each["data"]["orderId"], each["data"]["action"]) for each in events] == [
        (first, "place"),
        (second, "place"),
        (second, "decline"),
    ]


def test_the_feed_has_the_very_json_that_an_admin_gets_of_the_order_then(market: Market) -> None:
    """In each state of an order, with money, a refund and a chargeback; and of a payout."""
    after = ok(market.admin.get("/api/events", params={"after": "now"}))["next"]
    order, then = market.order(market.gig()), []

    def note() -> None:
        then.append(ok(market.admin.get(f"/api/orders/{order}")))

    note()
    for client, action, body in [
        (market.seller, "accept", {}),
        (market.seller, "deliver", {"message": "Here it is"}),
        (market.buyer, "dispute", {"message": "No"}),
        (market.admin, "resolve", {"outcome": "COMPLETED", "refundAmount": 19.99}),
    ]:
        ok(client.post(f"/api/orders/{order}/{action}", json=body))
        note()

    results: list[dict[str, Any]] = []
    while len(of_order := [each for each in results if each.get("orderId") == order]) < 5:
        page = ok(market.admin.get("/api/events", params={"after": after, "wait": 5}))
        results += page["results"]
        after = page["next"]

    assert [each["type"].removeprefix("order.") for each in of_order] == [
        "placed",
        "accepted",
        "delivered",
        "disputed",
        "resolved",
    ]
    # The refund is seen later than the change that decides it.
    for each, order_then in zip(of_order[:4], then[:4], strict=True):
        assert each["data"] == order_then
    assert {**of_order[4]["data"], "payment": {}} == {**then[4], "payment": {}}
    assert set(of_order[0]) == {"id", "at", "type", "orderId", "data"}


def test_a_payouts_outcome_is_in_the_feed_as_an_admin_gets_the_payout(market: Market) -> None:
    after = ok(market.admin.get("/api/events", params={"after": "now"}))["next"]
    market.completed(market.gig())
    payout = ok(market.seller.post("/api/payouts", json={}), 201)["payoutId"]

    def found() -> list[dict[str, Any]]:
        results = ok(market.admin.get("/api/events", params={"after": after, "pageSize": 100}))["results"]
        return [each for each in results if each.get("payoutId") == payout]

    (event,) = eventually(found)
    assert (event["type"], set(event)) == ("payout.paid", {"id", "at", "type", "payoutId", "data"})
    assert event["data"] == ok(market.admin.get(f"/api/payouts/{payout}"))


def test_a_long_poll_is_answered_when_something_happens(stack: Stack, market: Market) -> None:
    gig = market.gig()
    after = ok(market.admin.get("/api/events", params={"after": "now"}))["next"]
    found: list[Any] = []

    def poll() -> None:
        client = stack.client(a_name("admin"), "admin")
        found.append(ok(client.get("/api/events", params={"after": after, "wait": 10})))

    thread = threading.Thread(target=poll)
    thread.start()
    order = market.order(gig)
    thread.join(10)

    assert [each["orderId"] for each in found[0]["results"]] == [order]


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
def test_what_a_client_accepts_does_not_matter(market: Market, accept: str) -> None:
    with reading(market.buyer, "/api/watch", accept=accept) as watch:
        eventually(lambda: last_id(watch.text))
