"""The events of the feed, in PostgreSQL, and the start of their deliveries to webhook endpoints."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter

from order_service.domain.conversation import Conversation, Message
from order_service.domain.feed import INTERNAL, EventType, FeedEvent, ReadMark
from order_service.domain.offer import Offer
from order_service.domain.order import Order
from order_service.domain.payout import Payout
from order_service.store.message_rows import message_json, to_message
from order_service.store.webhook_deliveries import DELIVERIES, WebhookDeliveries
from servicekit.database import Database, Row, Statement
from servicekit.ids import new_id

# The names of their fields are in the database: a new field needs a default, and none may be renamed.
ORDER = TypeAdapter(Order)
PAYOUT = TypeAdapter(Payout)
OFFER = TypeAdapter(Offer)
READ_MARK = TypeAdapter(ReadMark)

ADD_OF_PAYOUT = Statement("""
    INSERT INTO events (id, at, type, payout_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6::jsonb)
""")
ADD_OF_MESSAGE = Statement(f"""
    WITH event AS (
        INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, message_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
    )
    {DELIVERIES.format("$1, $2, $3, $4")}
""")
ADD_OF_OFFER = Statement(f"""
    WITH event AS (
        INSERT INTO events (id, type, buyer_id, seller_id, at, conversation_id, offer_id, subject)
        VALUES ($1, $2, $3, $4, app_now(), $5, $6, $7::jsonb)
    )
    {DELIVERIES.format("$1, $2, $3, $4")}
""")
# Of a message, or, with a reader and the mark, of a mark of reading.
ADD_INTERNAL = Statement("""
    INSERT INTO events (
        id, type, buyer_id, seller_id, at, conversation_id, message_id, reader_id, subject, is_internal
    )
    VALUES ($1, $2, $3, $4, app_now(), $5, $6, $7, $8::jsonb, true)
""")
# An event's columns of which `to_subject` makes its subject.
SUBJECT = f"order_id, payout_id, offer_id, subject, {message_json('events.message_id')} AS message"
ONE = Statement(f"SELECT id, at, type, {SUBJECT} FROM events WHERE id = $1")


class Feed:
    """The events of the feed, written in the transaction of the change that they tell of: an order's by `Orders`."""

    def __init__(self, database: Database, deliveries: WebhookDeliveries) -> None:
        self._database = database
        self._deliveries = deliveries

    def add_of_payout(self, event_type: EventType, payout: Payout, at: datetime) -> None:
        """Store the event of a payout: the payout as it is after the change."""
        subject = PAYOUT.dump_json(payout).decode()
        event_id = new_id()
        self._database.write(ADD_OF_PAYOUT, event_id, at, event_type, payout.id, payout.seller_id, subject)
        self._deliveries.add(event_id, event_type, None, payout.seller_id)

    def add_of_message(self, event_type: EventType, message: Message, conversation: Conversation) -> None:
        """Store the event of a message whose row this transaction has written: MESSAGE_SENT or MESSAGE_REMOVED."""
        event = (new_id(), event_type, conversation.starter.id, conversation.owner.id)
        if event_type in INTERNAL:
            self._database.write(ADD_INTERNAL, *event, conversation.id, message.id, None, None)
        else:
            self._database.write(ADD_OF_MESSAGE, *event, message.at, conversation.id, message.id)

    def add_of_offer(self, event_type: EventType, offer: Offer) -> None:
        """Store the event of an offer, OFFER_MADE or OFFER_CLOSED: the offer as it is after the change."""
        event = (new_id(), event_type, offer.buyer_id, offer.seller_id)
        subject = OFFER.dump_json(offer).decode()
        self._database.write(ADD_OF_OFFER, *event, offer.conversation_id, offer.id, subject)

    def add_read_mark(self, conversation: Conversation, reader_id: UUID, message: Message) -> None:
        """Store the event that tells a reader's other devices of their mark, which the conversation has already.

        `message` is the marked one.
        """
        event = (new_id(), EventType.CONVERSATION_READ, conversation.starter.id, conversation.owner.id)
        mark = ReadMark(conversation.id, message.id, conversation.unread(reader_id))
        subject = READ_MARK.dump_json(mark).decode()
        self._database.write(ADD_INTERNAL, *event, conversation.id, None, reader_id, subject)

    def get(self, event_id: UUID) -> FeedEvent | None:
        """Return the event, if there is one."""
        row = self._database.fetch_one(ONE, event_id)
        return None if row is None else to_feed_event(row)


def to_feed_event(row: Row) -> FeedEvent:
    """Return the event of a row of `id`, `at`, `type` and SUBJECT."""
    return FeedEvent(row["id"], row["at"], EventType(row["type"]), to_subject(row))


def to_subject(row: Row) -> Order | Payout | Message | Offer:
    """Return what an event is about, of a row of SUBJECT."""
    if row["message"] is not None:
        return to_message(row["message"])
    if row["order_id"] is not None:
        return ORDER.validate_python(row["subject"])
    if row["payout_id"] is not None:
        return PAYOUT.validate_python(row["subject"])
    return OFFER.validate_python(row["subject"])
