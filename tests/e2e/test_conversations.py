"""Conversations through the edge: from a question to an answer, with names, marks, limits and blocks."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from edge import signing_keys
from tests.support.stack import Stack
from tests.support.story import Market, a_name, ok, refused_fields


def start(
    client: httpx.Client, gig: dict[str, Any], text: str = "Do you do shops?", key: str | None = None
) -> httpx.Response:
    headers = {"idempotency-key": key} if key else {}
    return client.post("/api/conversations", json={"gigId": gig["id"], "text": text}, headers=headers)


def test_a_question_and_its_answer(market: Market) -> None:
    gig = market.gig()
    began = start(market.buyer, gig)
    conversation = ok(began, 201)
    path = f"/api/conversations/{conversation['id']}"

    assert began.headers["location"].endswith(path)
    # Those of an admin are empty.
    assert conversation.pop("sides") == []
    assert conversation.keys() == {"id", "with", "gigId", "unread", "lastMessage", "createdAt"}
    assert (conversation["with"], conversation["gigId"], conversation["unread"]) == (
        {"id": gig["seller"]["id"], "username": gig["seller"]["username"]},
        gig["id"],
        0,
    )
    question = conversation["lastMessage"]
    assert question.keys() == {"id", "conversationId", "from", "text", "files", "at"}
    assert (question["conversationId"], question["text"], question["files"]) == (
        conversation["id"],
        "Do you do shops?",
        [],
    )
    [seen] = ok(market.seller.get("/api/conversations"))["results"]
    assert (seen["with"], seen["unread"], seen["lastMessage"]) == (question["from"], 1, question)
    answer = ok(market.seller.post(f"{path}/messages", json={"text": "I do"}), 201)
    assert ok(market.seller.post(f"{path}/read", json={"messageId": question["id"]}))["unread"] == 0
    assert ok(market.buyer.get(path))["unread"] == 1
    page = ok(market.buyer.get(f"{path}/messages"))
    assert page == {"results": [answer, question]}
    assert ok(market.buyer.get(f"{path}/messages", params={"after": question["id"]}))["results"] == [answer]
    assert ok(market.buyer.get(f"{path}/messages", params={"before": answer["id"]}))["results"] == [question]


def test_a_second_start_is_200_and_adds_a_message(market: Market) -> None:
    gig, other = market.gig(), market.gig()
    first = ok(start(market.buyer, gig, key="k1"), 201)
    again = start(market.buyer, other, 'About "isNew":true} too', key="k2")
    second = ok(again, 200)

    assert (second["id"], second["gigId"], second["lastMessage"]["text"]) == (
        first["id"],
        gig["id"],
        'About "isNew":true} too',
    )
    assert "isNew" not in second and again.headers["location"].endswith(first["id"])
    # A repeated key gets the first answer as it was, its status as well.
    assert ok(start(market.buyer, gig, key="k1"), 201) == first
    assert ok(start(market.buyer, other, 'About "isNew":true} too', key="k2"), 200) == second
    assert len(ok(market.buyer.get(f"/api/conversations/{first['id']}/messages"))["results"]) == 2


def test_both_sides_starting_at_once_make_one_conversation(market: Market, stack: Stack) -> None:
    buyer_and_seller = stack.client(a_name("both"), "buyer", "seller")
    theirs = Market(buyer_and_seller, market.buyer, market.anyone, market.admin).gig()
    ours = market.gig()

    with ThreadPoolExecutor(8) as pool:
        calls = [(market.seller, theirs), (buyer_and_seller, ours)] * 4
        answers = list(pool.map(lambda call: start(*call), calls))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    [identity] = {answer.json()["id"] for answer in answers}
    assert len(ok(market.seller.get(f"/api/conversations/{identity}/messages"))["results"]) == 8


def test_a_key_at_the_same_moment_sends_one_message(market: Market) -> None:
    gig = market.gig()
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda _: ok(start(market.buyer, gig, key="k"), 201), range(8)))
        path = f"/api/conversations/{begun[0]['id']}/messages"
        headers = {"idempotency-key": "k"}
        sent = list(
            pool.map(lambda _: ok(market.buyer.post(path, json={"text": "Hi"}, headers=headers), 201), range(8))
        )

    assert all(each == begun[0] for each in begun) and all(each == sent[0] for each in sent)
    assert len(ok(market.buyer.get(path))["results"]) == 2


def test_refusals_have_their_codes_and_fields(market: Market, stack: Stack) -> None:
    gig = market.gig()
    path = f"/api/conversations/{ok(start(market.buyer, gig), 201)['id']}"
    stranger = stack.client(a_name("stranger"), "buyer")

    assert start(market.seller, gig).json()["code"] == "FORBIDDEN"
    assert start(market.buyer, {"id": str(uuid4())}).json() == {"error": "Gig not found", "code": "NOT_FOUND"}
    assert refused_fields(start(market.buyer, {"id": "x"})) == ["gigId"]
    assert refused_fields(start(market.buyer, gig, "")) == ["text"]
    assert refused_fields(market.buyer.post(f"{path}/messages", json={})) == ["text"]
    assert refused_fields(market.buyer.post(f"{path}/messages", json={"text": "x" * 5001})) == ["text"]
    assert refused_fields(market.buyer.get(f"{path}/messages", params={"after": str(uuid4())})) == ["after"]
    assert refused_fields(market.buyer.post(f"{path}/read", json={"messageId": str(uuid4())})) == ["messageId"]
    for client in (stranger, market.anyone):
        expected = 404 if client is stranger else 401
        assert client.get(path).status_code == expected
        assert client.get(f"{path}/messages").status_code == expected
        assert client.post(f"{path}/messages", json={"text": "Hi"}).status_code == expected
    assert market.admin.post(f"{path}/messages", json={"text": "Hi"}).status_code == 403
    ok(market.seller.patch(f"/api/gigs/{gig['id']}/status", json={"status": "PAUSED"}))
    assert start(market.buyer, gig).status_code == 404
    ok(market.buyer.post(f"{path}/messages", json={"text": "Are you there?"}), 201)


def test_too_many_messages_are_429_with_the_time_of_the_next_one(market: Market) -> None:
    path = f"/api/conversations/{ok(start(market.buyer, market.gig()), 201)['id']}/messages"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: market.buyer.post(path, json={"text": "Hi"}), range(60)))

    statuses = Counter(answer.status_code for answer in answers)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert statuses.keys() == {201, 429} and statuses[201] >= 29
    assert {answer.json()["code"] for answer in refused} == {"RATE_LIMITED"}
    assert {answer.headers["retry-after"] for answer in refused} <= {"1", "2"}
    assert len(messages(market.seller, path)) == 1 + statuses[201]


def messages(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """Return all messages, seven a page."""
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"pageSize": 7}
    while True:
        page = ok(client.get(path, params=params))
        found += page["results"]
        if "nextPageToken" not in page:
            return found
        params["pageToken"] = page["nextPageToken"]


def test_a_block_holds_until_it_is_ended(market: Market) -> None:
    gig = market.gig()
    path = f"/api/conversations/{ok(start(market.buyer, gig), 201)['id']}/messages"
    buyer = ok(market.seller.get("/api/conversations"))["results"][0]["with"]["id"]

    blocked = ok(market.seller.put(f"/api/blocks/{buyer}"))
    assert blocked.keys() == {"userId", "since"}
    assert ok(market.seller.put(f"/api/blocks/{buyer.upper()}")) == blocked
    assert ok(market.seller.get("/api/blocks")) == {"results": [blocked]}
    assert market.buyer.post(path, json={"text": "Hi"}).json()["code"] == "FORBIDDEN"
    assert market.buyer.post("/api/orders", json=market.order_request(gig)).json()["code"] == "FORBIDDEN"
    assert market.seller.post(path, json={"text": "Hi"}).json()["code"] == "CONFLICT"
    for _ in range(2):
        assert market.seller.delete(f"/api/blocks/{buyer}").status_code == 204
    ok(market.buyer.post(path, json={"text": "Hi"}), 201)
    ok(market.buyer.post("/api/orders", json=market.order_request(gig)), 201)
    assert refused_fields(market.seller.put(f"/api/blocks/{gig['seller']['id']}")) == ["userId"]


def test_an_admin_removes_a_message_and_sees_both_sides(market: Market, stack: Stack) -> None:
    path = f"/api/conversations/{ok(start(market.buyer, market.gig(), 'Call 555-0100-7'), 201)['id']}"
    [message] = ok(market.admin.get(f"{path}/messages"))["results"]
    removal = f"/api/messages/{message['id']}"

    assert ok(market.admin.get(path))["sides"][0]["id"] == message["from"]["id"]
    assert market.seller.delete(removal).status_code == 403
    assert [market.admin.delete(removal).status_code for _ in range(2)] == [204, 204]
    shown = ok(market.buyer.get(path))["lastMessage"]
    assert shown == {**message, "text": "", "removed": True}
    assert ok(market.seller.get(path))["unread"] == 1
    # No log has a text, however it came and went.
    assert not any("555-0100-7" in log.read_text() for log in stack.layout.logs.glob("*.log"))


@pytest.mark.parametrize("is_reader", [True, False])
def test_both_devices_and_the_other_side_learn_of_a_message_at_once(market: Market, is_reader: bool) -> None:
    path = f"/api/conversations/{ok(start(market.buyer, market.gig()), 201)['id']}/messages"
    watcher = market.seller if is_reader else market.buyer
    with watcher.stream("GET", "/api/watch") as stream:
        lines = stream.iter_lines()
        next(lines)
        sent = ok(market.buyer.post(path, json={"text": "News"}), 201)
        data = next(line for line in lines if line.startswith("data: ") and sent["id"] in line)

    assert json.loads(data.removeprefix("data: ")) == sent


def test_a_name_is_the_one_of_the_latest_token(market: Market, stack: Stack) -> None:
    gig = market.gig()
    path = f"/api/conversations/{ok(start(market.buyer, gig), 201)['id']}"
    assert ok(market.buyer.get(path))["with"]["username"] == gig["seller"]["username"]
    other = a_name("renamed")
    key = signing_keys.user_key(stack.data_dir).load()
    claims = jwt.decode(
        market.seller.headers["authorization"].removeprefix("Bearer "), options={"verify_signature": False}
    )
    renamed = jwt.encode(
        {**claims, "preferred_username": other},
        key,
        algorithm=signing_keys.ALGORITHM,
        headers={"kid": signing_keys.key_id(key)},
    )

    ok(market.anyone.get("/api/conversations", headers={"authorization": f"Bearer {renamed}"}))

    assert ok(market.buyer.get(path))["with"]["username"] == other
