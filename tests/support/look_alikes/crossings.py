"""What a look-alike gets of the things that the other shares with somebody: files, offers, and news of them; nothing.

The cases of RPCs ask for each thing by itself. These follow a thing to wherever it goes: a file into a conversation and
a delivery, an offer into lists, an order and a message, and all of them into streams and webhooks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from tests.support.eventually import eventually
from tests.support.look_alikes.pair import Pair
from tests.support.look_alikes.person import Person
from tests.support.look_alikes.receiver import RECEIVER
from tests.support.look_alikes.streams import SseListener
from tests.support.look_alikes.webhook_cases import furnish, is_signed_for
from tests.support.story import ok

Crossing = Callable[[Pair], None]


def files_of_conversations_and_deliveries(pair: Pair) -> None:
    files = pair.let_owner_act(lambda: [_upload(pair.owner), _send_file(pair, pair.owner), _deliver(pair, pair.owner)])
    conversation, order = _talk(pair, pair.viewer), pair.viewer.sells(pair.market, "IN_PROGRESS")

    for file in files:
        assert _content(pair.owner, file) == f"The draft, {pair.owner.word}".encode()
        assert pair.ask("GET", f"/api/files/{file}").status_code == 404
        _as_unknown(pair, f"/api/conversations/{conversation}/messages", lambda each: {"fileIds": [each]}, file)
        _as_unknown(pair, "/api/conversations", lambda each: {"gigId": pair.gig["id"], "fileIds": [each]}, file)
        _as_unknown(pair, f"/api/orders/{order}/deliver", lambda each: {"fileIds": [each]}, file)
    # Those whom the owner sent them to can read them, and they alone.
    assert [pair.market.seller.get(f"/api/files/{file}").status_code for file in files] == [404, 200, 404]
    assert [pair.market.buyer.get(f"/api/files/{file}").status_code for file in files] == [404, 404, 200]


def offers_in_lists_and_orders(pair: Pair) -> None:
    acts = (_make_offer, _get_offer, _talk)
    made, got, owners_talk = pair.let_owner_act(lambda: [act(pair, pair.owner) for act in acts])
    own = {_make_offer(pair, pair.viewer), _get_offer(pair, pair.viewer)}

    for role in ("", "buyer", "seller"):
        for status in ("", "OPEN", "WITHDRAWN"):
            for conversation in ("", owners_talk):
                rows = pair.pages("/api/offers", role=role, status=status, conversationId=conversation)
                assert all(pair.viewer.id in (row["buyerId"], row["sellerId"]) for row in rows)
                assert not (rows and conversation)
    assert {row["id"] for row in pair.pages("/api/offers")} >= own
    # The viewer can be named in what they order, but not the owner's offer.
    for offer in (made, got):
        _as_unknown(pair, "/api/orders", lambda each: {"offerId": each, "paymentMethod": "sandbox"}, offer)
        pair.hidden("GET", "/api/offers/{}", offer)
    for each in (made, got, *own):
        assert ok(pair.market.admin.get(f"/api/offers/{each}"))["status"] == "OPEN"


def orders_in_messages(pair: Pair) -> None:
    conversation = _talk(pair, pair.viewer)

    # The owner's order is of the same seller, whom the viewer writes to.
    for order in pair.owner.orders[:3]:
        path = f"/api/conversations/{conversation}/messages"
        _as_unknown(pair, path, lambda each: {"text": "What of it?", "orderId": each}, order)


def news_on_streams(pair: Pair) -> None:
    with (
        SseListener(pair.owner.client, "/api/watch") as owners,
        SseListener(pair.viewer.client, "/api/watch") as viewers,
    ):
        owners.wait_for_id()
        viewers.wait_for_id()
        for act in (_send_file, _make_offer, _get_offer, _read_all, _deliver):
            heard = pair.let_owner_act(partial(act, pair, pair.owner))
            owners.wait_for(heard)
        # The viewer's stream has all before this one, since ids grow.
        viewers.wait_for(_send_file(pair, pair.viewer))
        pair.assert_hidden(viewers.text)


def news_by_webhooks(pair: Pair) -> None:
    furnish(pair)
    for act in (_send_file, _make_offer, _get_offer):
        pair.let_owner_act(partial(act, pair, pair.owner))
    last = _send_file(pair, pair.viewer)

    def of_viewer() -> list[str]:
        received = [each for each in RECEIVER.received() if is_signed_for(pair.viewer, each)]
        return [f"{each.headers} {each.body.decode()}" for each in received]

    eventually(lambda: any(last in each for each in of_viewer()))
    for each in of_viewer():
        pair.assert_hidden(each)


def _content(person: Person, file: str) -> bytes:
    """Return the bytes of a file that a person may read."""
    answer = person.client.get(f"/api/files/{file}")
    assert answer.status_code == 200, answer.text
    return answer.content


def _as_unknown(pair: Pair, path: str, body: Callable[[str], dict[str, Any]], identity: str) -> None:
    """Name a thing of the owner's in a body: it must be 404, to the letter as if it was not there."""
    answers = [pair.ask("POST", path, json=body(each)) for each in (identity, str(uuid4()))]
    assert [answer.status_code for answer in answers] == [404, 404], answers[0].text
    assert answers[0].text == answers[1].text


def _talk(pair: Pair, person: Person) -> str:
    """Return the conversation of a person with the market's seller."""
    body = {"gigId": pair.gig["id"], "text": f"Hello, {person.word}"}
    started = person.client.post("/api/conversations", json=body)
    assert started.status_code in (200, 201), started.text
    return person.owns(started.json()["id"], "a conversation")


def _upload(person: Person) -> str:
    content, name = f"The draft, {person.word}".encode(), f"{person.word}.txt"
    made = ok(person.client.post("/api/files", params={"name": name}, content=content), 201)
    return person.owns(made["fileId"], "a file")


def _send_file(pair: Pair, person: Person) -> str:
    """Send a new file to the market's seller. Return its id."""
    file = _upload(person)
    path = f"/api/conversations/{_talk(pair, person)}/messages"
    sent = ok(person.client.post(path, json={"text": f"See there, {person.word}", "fileIds": [file]}), 201)
    person.owns(sent["id"], "a message")
    return file


def _deliver(pair: Pair, person: Person) -> str:
    """Deliver a new file to the market's buyer. Return its id."""
    order, file = person.sells(pair.market, "IN_PROGRESS"), _upload(person)
    ok(person.client.post(f"/api/orders/{order}/deliver", json={"fileIds": [file]}))
    return file


def _make_offer(pair: Pair, person: Person) -> str:
    """Make the market's buyer an offer. Return its id."""
    asked = pair.market.buyer.post("/api/conversations", json={"gigId": person.gig["id"], "text": "How much?"})
    return _offer(person, person.client, asked.json()["id"], person.gig["id"])


def _get_offer(pair: Pair, person: Person) -> str:
    """Let the market's seller make an offer to a person. Return its id."""
    return _offer(person, pair.market.seller, _talk(pair, person), pair.gig["id"])


def _offer(person: Person, seller: Any, conversation: str, gig: str) -> str:
    terms = {"title": "All of it", "description": person.word, "price": 20, "deliveryDays": 3}
    made = ok(seller.post(f"/api/conversations/{conversation}/offers", json={"gigId": gig, **terms}), 201)
    return person.owns(made["id"], "an offer")


def _read_all(pair: Pair, person: Person) -> str:
    """Mark the newest message of the conversation with the market's seller. Return its id."""
    path = f"/api/conversations/{_talk(pair, person)}"
    newest = ok(person.client.get(path))["lastMessage"]["id"]
    ok(person.client.post(f"{path}/read", json={"messageId": newest}))
    return str(newest)


CROSSINGS: tuple[Crossing, ...] = (
    files_of_conversations_and_deliveries,
    offers_in_lists_and_orders,
    orders_in_messages,
    news_on_streams,
    news_by_webhooks,
)
