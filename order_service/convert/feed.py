"""Events of the feed as JSON, and as protos."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from marketplace.event.v1 import event_pb2
from order_service.convert.money import to_payout
from order_service.convert.orders import to_order_of
from order_service.domain.feed import FeedEvent
from order_service.domain.lifecycle import Timeouts
from order_service.domain.order import Order
from servicekit.call import Caller
from servicekit.times import to_timestamp

# Who reads the feed.
ADMIN = Caller(roles=frozenset({"admin"}))


def to_feed_event(event: FeedEvent, timeouts: Timeouts) -> event_pb2.FeedEvent:
    """Convert an event, as an admin sees it."""
    subject_id = str(event.subject.id)
    is_of_order = isinstance(event.subject, Order)
    data = Struct()
    data.update(to_data(event, ADMIN, timeouts))
    return event_pb2.FeedEvent(
        id=str(event.id),
        at=to_timestamp(event.at),
        type=event.type,
        order_id=subject_id if is_of_order else None,
        payout_id=None if is_of_order else subject_id,
        data=data,
    )


def to_data(event: FeedEvent, viewer: Caller, timeouts: Timeouts) -> dict[str, Any]:
    """Return the order or payout as it was then, as the JSON that its Get returned to the viewer.

    Raises NotFound for a stranger to an order.
    """
    if isinstance(event.subject, Order):
        return to_json(to_order_of(event.subject, viewer, event.at, timeouts))
    # An event of a payout tells of its outcome; a hold shows only while it is PENDING.
    return to_json(to_payout(event.subject, is_held=False))


def to_json(message: Message) -> dict[str, Any]:
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
