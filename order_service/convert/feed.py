"""Events of the feed: domain to proto."""

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from marketplace.event.v1 import event_pb2
from order_service.convert.money import to_payout
from order_service.convert.orders import to_order
from order_service.domain.feed import FeedEvent
from order_service.domain.lifecycle import Timeouts, open_actions
from order_service.domain.order import Order, Party
from servicekit.times import to_timestamp


def to_data(event: FeedEvent, viewer: Party, timeouts: Timeouts) -> Struct:
    """Return the order or the payout as it was then, as GetOrder or GetPayout answered it to this viewer.

    The viewer is an admin, or the buyer or the seller of the order. Its JSON has the edge's form.
    """
    data = Struct()
    data.update(to_json(_to_proto(event, viewer, timeouts)))
    return data


def to_json(message: Message) -> dict[str, Any]:
    """Return the JSON that the edge makes of a message."""
    return MessageToDict(message, always_print_fields_with_no_presence=True)


def to_feed_event(event: FeedEvent, timeouts: Timeouts) -> event_pb2.FeedEvent:
    """Convert an event, as an admin sees it."""
    subject_id = str(event.subject.id)
    is_of_order = isinstance(event.subject, Order)
    return event_pb2.FeedEvent(
        id=str(event.id),
        at=to_timestamp(event.at),
        type=event.type,
        order_id=subject_id if is_of_order else None,
        payout_id=None if is_of_order else subject_id,
        data=to_data(event, Party.ADMIN, timeouts),
    )


def _to_proto(event: FeedEvent, viewer: Party, timeouts: Timeouts) -> Message:
    if not isinstance(event.subject, Order):
        # A hold is of no account to a payout whose outcome is known.
        return to_payout(event.subject, is_held=False)
    actions = open_actions(event.subject, frozenset({viewer}), event.at, timeouts)
    return to_order(event.subject, actions, sees_chargeback=viewer is not Party.BUYER)
