"""Events of the feed as JSON, and as protos."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never
from uuid import UUID

from google.protobuf import json_format
from google.protobuf.message import Message as Proto
from google.protobuf.struct_pb2 import Struct

from marketplace.event.v1 import event_pb2
from order_service.convert.messages import to_message
from order_service.convert.money import to_payout
from order_service.convert.offers import to_offer
from order_service.convert.orders import to_order_of
from order_service.domain.conversation import Message
from order_service.domain.feed import FeedEvent
from order_service.domain.lifecycle import Timeouts
from order_service.domain.offer import Offer
from order_service.domain.order import Order
from order_service.domain.payout import Payout
from servicekit.call import Caller
from servicekit.times import to_timestamp

# Who reads the feed.
ADMIN = Caller(roles=frozenset({"admin"}))


def to_feed_event(event: FeedEvent, timeouts: Timeouts) -> event_pb2.FeedEvent:
    """Convert an event, as an admin sees it."""
    data = Struct()
    data.update(to_data(event, ADMIN, timeouts))
    return event_pb2.FeedEvent(
        id=str(event.id), at=to_timestamp(event.at), type=event.type, data=data, **_ids(event.subject)
    )


def to_data(event: FeedEvent, viewer: Caller, timeouts: Timeouts) -> dict[str, Any]:
    """Return what the event is about as it was then, as the JSON that its Get returned to the viewer.

    Raises NotFound for a stranger to an order.
    """
    match event.subject:
        case Order() as order:
            return to_json(to_order_of(order, viewer, event.at, timeouts))
        case Payout() as payout:
            # An event of a payout tells of its outcome; a hold shows only while it is PENDING.
            return to_json(to_payout(payout, is_held=False))
        case Message() as message:
            return to_json(to_message(message))
        case Offer() as offer:
            return to_json(to_offer(offer))
    assert_never(event.subject)


def _ids(subject: Order | Payout | Message | Offer) -> dict[str, str]:
    """Return the ids of an event that its subject has: its own, and those of what it is about."""
    ids: dict[str, UUID | None]
    match subject:
        case Order(offer_id=offer_id):
            ids = {"order_id": subject.id, "offer_id": offer_id}
        case Payout():
            ids = {"payout_id": subject.id}
        case Message(conversation_id=conversation_id, offer_id=offer_id, order_id=order_id):
            ids = {"conversation_id": conversation_id, "offer_id": offer_id, "order_id": order_id}
        case Offer(conversation_id=conversation_id, order_id=order_id):
            ids = {"conversation_id": conversation_id, "offer_id": subject.id, "order_id": order_id}
        case _:
            assert_never(subject)
    return {name: str(value) for name, value in ids.items() if value is not None}


def to_json(message: Proto) -> dict[str, Any]:
    """Return a message as the edge prints it: as Envoy's transcoder does with `always_print_primitive_fields`."""
    printed = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    return _in_order(printed, message.DESCRIPTOR.fields)


def _in_order(printed: dict[str, Any], fields: Iterable[Any]) -> dict[str, Any]:
    """Return the fields in the order of the proto; Python's protobuf puts empty ones last."""
    return {
        field.json_name: _as_printed(printed[field.json_name], field) for field in fields if field.json_name in printed
    }


def _as_printed(value: Any, field: Any) -> Any:
    if isinstance(value, list):
        return [_as_printed(item, field) for item in value]
    if isinstance(value, dict) and field.message_type.file.package != "google.protobuf":
        return _in_order(value, field.message_type.fields)
    # The edge prints 500 and not 500.0.
    return int(value) if isinstance(value, float) and value.is_integer() else value
