"""Events of the feed as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from order_service.convert.money import to_payout
from order_service.convert.orders import to_order_of
from order_service.domain.feed import FeedEvent
from order_service.domain.lifecycle import Timeouts
from order_service.domain.order import Order
from servicekit.call import Caller


def to_data(event: FeedEvent, viewer: Caller, timeouts: Timeouts) -> dict[str, Any]:
    """Return the order or payout as it was then, as the JSON that its Get returns to the viewer.

    A snapshot is of an order or payout that the viewer may read.
    """
    subject = event.subject
    if isinstance(subject, Order):
        return to_json(to_order_of(subject, viewer, event.at, timeouts))
    # An event of a payout tells of its outcome; a hold shows only while it is PENDING.
    return to_json(to_payout(subject, is_held=False))


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
    if isinstance(value, dict) and field.message_type is not None:
        return _in_order(value, field.message_type.fields)
    if isinstance(value, list):
        return [_as_printed(item, field) for item in value]
    # The edge prints 500 and not 500.0.
    return int(value) if isinstance(value, float) and value.is_integer() else value
