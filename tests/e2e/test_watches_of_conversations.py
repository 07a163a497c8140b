"""Messages, marks of reading and offers in watches, the feed and webhooks, through the real edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.events import last_id
from tests.support.eventually import eventually
from tests.support.reading import Reading, reading
from tests.support.story import Market, ok
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

TEXT = "Call me on 555, “please”"


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as running:
        yield running


def begin(market: Market, text: str = "Hello") -> dict[str, Any]:
    """Start a conversation about a new gig. Return it."""
    conversation: dict[str, Any] = ok(
        market.buyer.post("/api/conversations", json={"gigId": market.gig()["id"], "text": text}), 201
    )
    return conversation


def seen(watch: Reading, count: int) -> list[tuple[str, Any]]:
    """Wait for so many events; return the kinds and the data of all."""
    eventually(lambda: len(watch.events()) >= count)
    return [(event["event"], event["data"]) for event in watch.events()]


def has_begun(watch: Reading) -> str:
    """Wait for the first id of a watch, and return it."""
    return eventually(lambda: last_id(watch.text))


def feed_after(market: Market, after: str, conversation: str, count: int) -> list[Any]:
    """Return the events of a conversation after a place of the feed, as soon as there are so many."""

    def found() -> list[Any]:
        page = ok(market.admin.get("/api/events", params={"after": after, "pageSize": 100}))
        return [each for each in page["results"] if each.get("conversationId") == conversation]

    eventually(lambda: len(found()) >= count)
    return found()


def test_a_message_comes_to_the_other_side_as_its_list_has_it_and_a_client_resumes_after_it(market: Market) -> None:
    with reading(market.seller, "/api/watch") as watch, reading(market.buyer, "/api/watch") as own:
        has_begun(watch), has_begun(own)
        conversation = begin(market)
        messages = f"/api/conversations/{conversation['id']}/messages"
        sent = ok(market.buyer.post(messages, json={"text": TEXT}), 201)

        for each in (watch, own):
            assert seen(each, 2) == [("message", conversation["lastMessage"]), ("message", sent)]
        listed = ok(market.seller.get(messages))["results"]
    answered = ok(market.seller.post(messages, json={"text": "Yes"}), 201)

    assert [data for _, data in seen(watch, 2)] == listed[::-1]
    with reading(market.seller, "/api/watch", last_event_id=last_id(watch.text)) as resumed:
        assert seen(resumed, 1) == [("message", answered)]


def test_a_mark_of_reading_comes_to_the_readers_other_devices(market: Market) -> None:
    conversation = begin(market)
    path = f"/api/conversations/{conversation['id']}"
    second = ok(market.buyer.post(f"{path}/messages", json={"text": "And one more"}), 201)
    with reading(market.seller, "/api/watch") as laptop, reading(market.buyer, "/api/watch") as buyer:
        has_begun(laptop), has_begun(buyer)

        ok(market.seller.post(f"{path}/read", json={"messageId": conversation["lastMessage"]["id"]}))
        # Again, and back: nothing new.
        ok(market.seller.post(f"{path}/read", json={"messageId": conversation["lastMessage"]["id"]}))
        ok(market.seller.post(f"{path}/read", json={"messageId": second["id"]}))
        sent = ok(market.seller.post(f"{path}/messages", json={"text": "I have read it"}), 201)

        expected = [
            (
                "read",
                {"conversationId": conversation["id"], "messageId": conversation["lastMessage"]["id"], "unread": 1},
            ),
            ("read", {"conversationId": conversation["id"], "messageId": second["id"], "unread": 0}),
            ("message", sent),
        ]
        assert seen(laptop, 3) == expected
        assert seen(buyer, 1) == expected[2:]


def test_an_offer_comes_when_it_is_made_and_when_it_is_closed(market: Market) -> None:
    conversation = begin(market)
    with reading(market.buyer, "/api/watch") as watch:
        has_begun(watch)
        body = {"gigId": conversation["gigId"], "title": "A shop", "description": "", "price": 70, "deliveryDays": 3}
        offer = ok(market.seller.post(f"/api/conversations/{conversation['id']}/offers", json=body), 201)
        withdrawn = ok(market.seller.post(f"/api/offers/{offer['id']}/withdraw", json={}))

        news = seen(watch, 3)

    assert sorted(kind for kind, _ in news) == ["message", "offer", "offer"]
    assert [data for kind, data in news if kind == "offer"] == [offer, withdrawn]
    [message] = [data for kind, data in news if kind == "message"]
    assert (message["offerId"], message["text"]) == (offer["id"], "")


def test_the_order_of_an_offer_and_its_end_name_each_other_in_the_feed(market: Market) -> None:
    after = ok(market.admin.get("/api/events", params={"after": "now"}))["next"]
    conversation = begin(market)
    body = {"gigId": conversation["gigId"], "title": "A shop", "description": "", "price": 70, "deliveryDays": 3}
    offer = ok(market.seller.post(f"/api/conversations/{conversation['id']}/offers", json=body), 201)
    placing = {"offerId": offer["id"], "requirements": "Two languages", "paymentMethod": "stripe"}
    order = ok(market.buyer.post("/api/orders", json=placing), 201)["orderId"]

    def found() -> dict[str, Any]:
        results = ok(market.admin.get("/api/events", params={"after": after, "pageSize": 100}))["results"]
        return {each["type"]: each for each in results if each.get("orderId") == order}

    eventually(lambda: len(found()) == 2)
    assert {name: event["offerId"] for name, event in found().items()} == {
        "order.placed": offer["id"], "offer.closed": offer["id"],
    }  # fmt: skip
    assert found()["offer.closed"]["data"] == ok(market.admin.get(f"/api/offers/{offer['id']}"))


def test_after_a_removal_a_text_is_in_no_stream_page_or_delivery(market: Market, receiver: WebhookReceiver) -> None:
    after = ok(market.admin.get("/api/events", params={"after": "now"}))["next"]
    is_open = False
    body = {"url": receiver.url_of("in"), "types": ["message.sent"]}
    created = ok(market.seller.post("/api/webhook-endpoints", json=body), 201)
    receiver.expect("in", created["secret"], lambda _: 204 if is_open else 500)
    with reading(market.seller, "/api/watch") as watch:
        first_id = has_begun(watch)
        conversation = begin(market, TEXT)
        message = conversation["lastMessage"]
        assert seen(watch, 1) == [("message", message)]
        [event] = feed_after(market, after, conversation["id"], 1)
        assert (event["type"], event["data"]) == ("message.sent", message)
        eventually(lambda: receiver.deliveries("in"))

        ok(market.admin.delete(f"/api/messages/{message['id']}"), 204)
        is_open = True

        removed = {**message, "text": "", "files": [], "removed": True}
        assert seen(watch, 2)[1] == ("message", removed)
    with reading(market.seller, "/api/watch", last_event_id=first_id) as resumed:
        assert seen(resumed, 2) == [("message", removed)] * 2
    [event] = feed_after(market, after, conversation["id"], 1)
    assert event["data"] == removed
    delivered = eventually(lambda: receiver.deliveries("in")[1:])
    assert delivered[-1].body["data"] == removed
    assert delivered[-1].event_id == event["id"]
