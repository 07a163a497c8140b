"""Watches of messages, offers and marks of reading: what they send, to whom, and after a removal."""

from __future__ import annotations

from typing import Any

from marketplace.event.v1 import event_pb2
from order_service.domain.conversation import Person
from order_service.domain.file import FileLabel
from order_service.domain.offer import OfferStatus
from servicekit.ids import new_id
from tests.events.conftest import Watch
from tests.support.conversations import Talk
from tests.support.events import Watcher, last_id
from tests.support.eventually import eventually
from tests.support.identity import user_id
from tests.support.orderservice import ADMIN, BUYER, SELLER, STRANGER, OrderBackend

SSE = event_pb2.WatchSseRequest()
DANA = Person(user_id("happy_buyer"), "happy_buyer")
WEBDEV = Person(user_id("webdev_pro"), "webdev_pro")


def a_talk(world: OrderBackend) -> Talk:
    return Talk(world.store, DANA, WEBDEV)


def seen(watcher: Watcher, count: int) -> list[dict[str, Any]]:
    """Wait for so many events, and return all."""
    eventually(lambda: len(watcher.sent_events()) >= count)
    return watcher.sent_events()


def test_both_sides_get_each_message_the_writer_too_and_nobody_else(world: OrderBackend, watch: Watch) -> None:
    watchers = {
        name: watch("WatchSse", SSE, sent)
        for name, sent in {"buyer": BUYER, "seller": SELLER, "admin": ADMIN, "stranger": STRANGER}.items()
    }
    for watcher in watchers.values():
        watcher.wait_for(1)

    talk = a_talk(world)
    file = FileLabel(new_id(), "brief.pdf", 1200, "application/pdf")
    reply = talk.say(WEBDEV, "What is it about?\nSend me all", file=file)

    for name in ("buyer", "seller"):
        first, second = seen(watchers[name], 2)
        assert (first["event"], second["event"]) == ("message", "message")
        assert int(first["id"]) < int(second["id"])
        assert second["data"] == {
            "id": str(reply.id),
            "conversationId": str(talk.id),
            "from": {"id": str(WEBDEV.id), "username": "webdev_pro"},
            "text": "What is it about?\nSend me all",
            "files": [
                {
                    "fileId": str(file.id),
                    "name": "brief.pdf",
                    "size": 1200,
                    "type": "application/pdf",
                    "status": "READY",
                }
            ],
            "at": second["data"]["at"],
        }
    assert watchers["admin"].sent_events() == watchers["stranger"].sent_events() == []


def test_offers_come_when_they_are_made_and_when_they_are_closed(world: OrderBackend, watch: Watch) -> None:
    talk = a_talk(world)
    buyer, seller = watch("WatchSse", SSE, BUYER), watch("WatchSse", SSE, SELLER)
    for watcher in (buyer, seller):
        watcher.wait_for(1)

    offer = talk.offer()
    talk.close(offer, OfferStatus.DECLINED)

    for watcher in (buyer, seller):
        made, closed = seen(watcher, 2)
        assert (made["event"], closed["event"]) == ("offer", "offer")
        assert made["data"] == {
            "id": str(offer.id),
            "conversationId": str(talk.id),
            "gigId": str(offer.gig_id),
            "sellerId": str(WEBDEV.id),
            "buyerId": str(DANA.id),
            "title": "A shop in two languages",
            "description": "With a blog",
            "price": 700,
            "deliveryDays": 10,
            "revisions": 1,
            "status": "OPEN",
            "expiresAt": made["data"]["expiresAt"],
            "createdAt": made["data"]["createdAt"],
        }
        assert closed["data"] == {**made["data"], "status": "DECLINED"}


def test_a_mark_of_reading_comes_to_the_readers_devices_alone(world: OrderBackend, watch: Watch) -> None:
    talk = a_talk(world)
    first = talk.say(WEBDEV, "One")
    talk.say(WEBDEV, "Two")
    phone, laptop, seller = (watch("WatchSse", SSE, each) for each in (BUYER, BUYER, SELLER))
    for watcher in (phone, laptop, seller):
        watcher.wait_for(1)

    talk.read(DANA, first)
    talk.say(DANA, "Three")

    for device in (phone, laptop):
        mark, message = seen(device, 2)
        assert mark["event"] == "read"
        assert mark["data"] == {"conversationId": str(talk.id), "messageId": str(first.id), "unread": 1}
        assert message["event"] == "message"
    assert [event["event"] for event in seen(seller, 1)] == ["message"]


def test_a_client_that_resumes_gets_all_kinds_in_one_sequence(world: OrderBackend, watch: Watch) -> None:
    watcher = watch("WatchSse", SSE, BUYER)
    watcher.wait_for(1)
    begin = last_id(watcher.text())
    watcher.close()
    talk = a_talk(world)
    order_id = world.placed()
    talk.offer()
    reply = talk.say(WEBDEV, "One moment")
    talk.read(WEBDEV, talk.conversation.last_message)
    talk.read(DANA, reply)
    world.act("accept", order_id, SELLER)

    all_news = seen(watch("WatchSse", SSE, BUYER, last_event_id=begin), 6)
    after_the_offer = seen(watch("WatchSse", SSE, BUYER, last_event_id=all_news[2]["id"]), 3)

    assert [event["event"] for event in all_news] == ["message", "order", "offer", "message", "read", "order"]
    assert after_the_offer == all_news[3:]
    numbers = [int(event["id"]) for event in all_news]
    assert numbers == sorted(set(numbers))


def test_a_removed_message_comes_again_and_its_text_is_nowhere_any_more(world: OrderBackend, watch: Watch) -> None:
    talk = a_talk(world)
    watcher = watch("WatchSse", SSE, SELLER)
    watcher.wait_for(1)
    begin = last_id(watcher.text())
    message = talk.say(DANA, "Call me on 555", file=FileLabel(new_id(), "number.txt", 3, "text/plain"))
    assert "Call me on 555" in seen(watcher, 1)[0]["data"]["text"]

    talk.remove(message)

    removed = seen(watcher, 2)[1]
    assert removed["event"] == "message"
    assert (removed["data"]["id"], removed["data"]["removed"]) == (str(message.id), True)
    assert (removed["data"]["text"], removed["data"]["files"]) == ("", [])
    resumed = watch("WatchSse", SSE, SELLER, last_event_id=begin)
    assert [event["data"] for event in seen(resumed, 2)] == [removed["data"], removed["data"]]
    assert "555" not in resumed.text()
    assert "number.txt" not in resumed.text()


def test_grpc_callers_get_typed_messages_offers_and_marks(world: OrderBackend, watch: Watch) -> None:
    watcher = watch("Watch", event_pb2.WatchRequest(), BUYER)
    watcher.wait_for(1)

    talk = a_talk(world)
    reply = talk.say(WEBDEV, "Yes?")
    talk.read(DANA, reply)
    offer = talk.offer()

    _, first, second, mark, made = watcher.wait_for(5)
    assert [response.WhichOneof("what") for response in (first, second, mark, made)] == [
        "message", "message", "read", "offer",
    ]  # fmt: skip
    assert (second.message.text, second.order_id) == ("Yes?", "")
    assert getattr(second.message, "from").username == "webdev_pro"
    assert mark.read.unread == 0
    assert made.offer.id == str(offer.id)


def test_a_watch_of_an_order_is_about_the_order_alone(world: OrderBackend, watch: Watch) -> None:
    order_id = world.placed()
    watcher = watch("WatchOrderSse", event_pb2.WatchOrderSseRequest(order_id=order_id), BUYER)
    assert len(seen(watcher, 1)) == 1

    a_talk(world).offer()
    world.act("accept", order_id, SELLER)

    assert [event["data"]["action"] for event in seen(watcher, 2)] == ["place", "accept"]
