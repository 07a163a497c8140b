"""Messages and offers in the feed and in webhooks: their data, what stays internal, removals and erasures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from order_service.convert.feed import to_feed_event, to_json
from order_service.domain.conversation import Person
from order_service.domain.feed import EventType, FeedEvent
from order_service.domain.file import FileLabel
from order_service.domain.offer import OfferStatus
from order_service.files.storage import FILES
from order_service.personal_data import OrderUserData
from servicekit.ids import new_id
from servicekit.personal_data import ERASED
from servicekit.progress import Progress
from servicekit.storage.folder import FolderStorage
from tests.events.test_feed import Feed
from tests.support import webhooks
from tests.support.conversations import Talk
from tests.support.events import EventServer
from tests.support.identity import user_id
from tests.support.orders import NOON, TIMEOUTS, an_order
from tests.support.orderservice import ADMIN, BUYER, SELLER, STRANGER, OrderBackend
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver
from tests.support.webhooks import deliveries, endpoint

DANA = Person(user_id("happy_buyer"), "happy_buyer")
WEBDEV = Person(user_id("webdev_pro"), "webdev_pro")
SECRET = "Call me on 555"
FILE = "number.txt"


@pytest.fixture
def feed(events: EventServer) -> Iterator[Feed]:
    client = Feed(events)
    yield client
    client.channel.close()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as running:
        yield running


@pytest.fixture
def talk(world: OrderBackend) -> Talk:
    return Talk(world.store, DANA, WEBDEV)


def a_file() -> FileLabel:
    return FileLabel(new_id(), FILE, 3, "text/plain")


def test_the_feed_has_messages_and_offers_with_the_ids_of_what_they_are_about(feed: Feed, talk: Talk) -> None:
    offer = talk.offer()
    message = talk.say(WEBDEV, "", offer_id=offer.id)
    order_id = new_id()
    talk.close(offer, OfferStatus.ACCEPTED, order_id)

    first, made, brought, closed = [to_json(event) for event in feed.page().results]

    assert [each["type"] for each in (first, made, brought, closed)] == [
        "message.sent", "offer.made", "message.sent", "offer.closed",
    ]  # fmt: skip
    assert {each["conversationId"] for each in (first, made, brought, closed)} == {str(talk.id)}
    assert [each.get("offerId") for each in (first, made, brought, closed)] == [None, *3 * [str(offer.id)]]
    assert [each.get("orderId") for each in (first, made, brought, closed)] == [None, None, None, str(order_id)]
    assert first["data"]["text"] == "Hello"
    assert first["at"] == first["data"]["at"]
    assert (brought["data"]["id"], brought["data"]["offerId"]) == (str(message.id), str(offer.id))
    # As it was then.
    assert (made["data"]["status"], closed["data"]["status"]) == ("OPEN", "ACCEPTED")
    assert (made["data"]["price"], closed["data"]["orderId"]) == (700, str(order_id))


def test_the_events_of_an_order_of_an_offer_have_both_ids() -> None:
    offer_id = new_id()
    orders = {order.id: order for order in (an_order(offer_id=offer_id), an_order())}

    events = [
        to_feed_event(FeedEvent(new_id(), NOON, EventType.ORDER_PLACED, each), TIMEOUTS) for each in orders.values()
    ]

    assert [(event.order_id, event.offer_id) for event in events] == [
        (str(order_id), str(order.offer_id or "")) for order_id, order in orders.items()
    ]
    assert [event.HasField("offer_id") for event in events] == [True, False]


def test_marks_of_reading_and_removals_are_in_no_page_and_wake_no_long_poll(feed: Feed, talk: Talk) -> None:
    message = talk.say(DANA, SECRET)
    after = feed.page("now").next
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(feed.page, after, wait=25)
        talk.read(WEBDEV, message)
        talk.remove(message)
        time.sleep(0.5)
        assert not poll.done()

        talk.say(WEBDEV, "Please stay here")

        page = poll.result(10)
    assert [to_json(event)["data"]["text"] for event in page.results] == ["Please stay here"]
    assert list(feed.page(page.next).results) == []


def test_a_removed_message_has_no_text_and_no_file_in_the_feed_any_more(feed: Feed, talk: Talk) -> None:
    file = a_file()
    message = talk.say(DANA, SECRET, file=file)
    assert SECRET in str(feed.page().results[1])

    talk.remove(message)

    event = to_json(feed.page().results[1])
    assert event["type"] == "message.sent"
    assert event["data"] == {**event["data"], "text": "", "files": [], "removed": True}
    assert SECRET not in str(event)
    assert FILE not in str(event)


def test_both_sides_and_admins_get_webhooks_of_messages_and_offers(
    world: OrderBackend, talk: Talk, receiver: WebhookReceiver
) -> None:
    for name, who in (("buyer", BUYER), ("seller", SELLER), ("admin", ADMIN), ("stranger", STRANGER)):
        endpoint(world, receiver, name, who)
    endpoint(world, receiver, "offers", BUYER, types=["offer.made", "offer.closed"])

    message = talk.say(WEBDEV, "I can do it")
    talk.read(DANA, message)
    talk.close(talk.offer(), OfferStatus.WITHDRAWN)
    world.settle()

    for name in ("buyer", "seller", "admin"):
        assert sorted(receiver.types(name)) == ["message.sent", "offer.closed", "offer.made"]
        [sent] = [each for each in receiver.deliveries(name) if each.type == "message.sent"]
        assert (sent.body["data"]["id"], sent.body["data"]["text"]) == (str(message.id), "I can do it")
    assert sorted(receiver.types("offers")) == ["offer.closed", "offer.made"]
    assert receiver.deliveries("stranger") == []
    assert receiver.invalid == []


def test_a_delivery_that_waits_or_is_sent_again_after_a_removal_has_no_text(
    world: OrderBackend, talk: Talk, receiver: WebhookReceiver
) -> None:
    waits = endpoint(world, receiver, "waits", respond=500)
    again = endpoint(world, receiver, "again", SELLER)
    message = talk.say(DANA, SECRET, file=a_file())
    world.deliver_outbox()
    receiver.respond["/waits"] = lambda _: 204

    talk.remove(message)
    world.clock.travel(timedelta(seconds=7))
    [delivery] = deliveries(world, again, SELLER)
    webhooks.retry(world, again, delivery.id, SELLER)
    world.deliver_outbox()

    assert len(deliveries(world, waits)) == 1
    for name in ("waits", "again"):
        before, after = receiver.deliveries(name)
        assert SECRET in before.text
        assert FILE in before.text
        assert after.event_id == before.event_id
        assert (after.body["data"]["text"], after.body["data"]["files"], after.body["data"]["removed"]) == (
            "",
            [],
            True,
        )


@pytest.mark.parametrize("internal", ["message.removed", "conversation.read"])
def test_internal_types_can_be_asked_for_by_nobody(world: OrderBackend, internal: str) -> None:
    assert webhooks.create(world, types=[internal]).error == "INVALID_ARGUMENT"
    assert webhooks.create(world, types=["message.sent", "offer.made", "offer.closed"]).error == ""


def test_an_erased_sellers_offers_have_no_texts_in_the_feed(
    world: OrderBackend, feed: Feed, talk: Talk, tmp_path: Path
) -> None:
    talk.offer()
    data = OrderUserData(world.database, FolderStorage(tmp_path, FILES), None)

    # A buyer has written nothing of an offer, and an order's events are no part of it.
    assert dict(data.erase(DANA.id, [], Progress()))["events_of_orders_bought"] == 0
    made = to_json(feed.page().results[1])["data"]
    assert (made["title"], made["description"]) == ("A shop in two languages", "With a blog")

    assert dict(data.erase(WEBDEV.id, [], Progress()))["events_of_offers_made"] == 1

    made = to_json(feed.page().results[1])["data"]
    assert (made["title"], made["description"], made["price"]) == (ERASED, "", 700)
