"""The news of orders as the responses of watches: typed ones, and server-sent events."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message

from marketplace.event.v1 import event_pb2
from order_service.convert.feed import to_json
from order_service.convert.orders import to_event
from order_service.domain.feed import OrderNews
from servicekit.times import to_timestamp

CONTENT_TYPE = "text/event-stream"
# After a restart of the process, clients come back within this time (milliseconds), spread over it.
RETRY_MS = (1000, 4000)

R_co = TypeVar("R_co", bound=Message, covariant=True)


class Encoder(Protocol[R_co]):
    """Makes the responses of a watch."""

    def opening(self, event_id: str) -> Sequence[R_co]:
        """Return what is sent at once. The id is where the watch begins; empty where the client needs none."""
        ...

    def news(self, event_id: str, news: OrderNews) -> R_co:
        """Return a change or a reminder."""
        ...

    def place(self, event_id: str) -> R_co:
        """Return an id alone, from which the client can resume."""
        ...

    def heartbeat(self) -> R_co | None:
        """Return what keeps an idle connection open, where something is needed."""
        ...


class ServerSentEvents:
    """The watches over HTTP. `names_order` says whether an event names its order."""

    def __init__(self, *, names_order: bool) -> None:
        self._names_order = names_order

    def opening(self, event_id: str) -> list[HttpBody]:
        """Return a comment, the time after which a client comes back, and the id.

        The content type counts in the first response alone.
        """
        place = b"id: %b\n" % event_id.encode() if event_id else b""
        retry = random.randint(*RETRY_MS)  # noqa: S311
        return [HttpBody(content_type=CONTENT_TYPE, data=b": watching\nretry: %d\n%b\n" % (retry, place))]

    def news(self, event_id: str, news: OrderNews) -> HttpBody:
        """Return `event: order` with a row of the history as the history has it, or `event: reminder`."""
        if news.reminder_type is not None:
            return _event(event_id, "reminder", to_json(to_reminder(news)))
        row = to_json(to_event(news.event))
        return _event(event_id, "order", {"orderId": str(news.order_id), **row} if self._names_order else row)

    def place(self, event_id: str) -> HttpBody:
        """Return an event without data, which clients do not see; they keep its id."""
        return HttpBody(data=b":\nid: %b\n\n" % event_id.encode())

    def heartbeat(self) -> HttpBody:
        """Return a comment."""
        return HttpBody(data=b":\n\n")


class OrderResponses:
    """The responses of WatchOrder."""

    def opening(self, event_id: str) -> list[event_pb2.WatchOrderResponse]:
        """Return nothing."""
        return []

    def news(self, event_id: str, news: OrderNews) -> event_pb2.WatchOrderResponse:
        """Return a change or a reminder."""
        if news.reminder_type is not None:
            return event_pb2.WatchOrderResponse(id=event_id, reminder=to_reminder(news))
        return event_pb2.WatchOrderResponse(id=event_id, change=to_event(news.event))

    def place(self, event_id: str) -> event_pb2.WatchOrderResponse:
        """Return an id alone."""
        return event_pb2.WatchOrderResponse(id=event_id)

    def heartbeat(self) -> None:
        """Return nothing: HTTP/2 has pings."""


class UserResponses:
    """The responses of Watch."""

    def opening(self, event_id: str) -> list[event_pb2.WatchResponse]:
        """Return the id alone, if there is one."""
        return [self.place(event_id)] if event_id else []

    def news(self, event_id: str, news: OrderNews) -> event_pb2.WatchResponse:
        """Return a change or a reminder of an order."""
        response = event_pb2.WatchResponse(id=event_id, order_id=str(news.order_id))
        if news.reminder_type is not None:
            response.reminder.CopyFrom(to_reminder(news))
        else:
            response.change.CopyFrom(to_event(news.event))
        return response

    def place(self, event_id: str) -> event_pb2.WatchResponse:
        """Return an id alone."""
        return event_pb2.WatchResponse(id=event_id)

    def heartbeat(self) -> None:
        """Return nothing: HTTP/2 has pings."""


def to_reminder(news: OrderNews) -> event_pb2.Reminder:
    """Convert a reminder."""
    return event_pb2.Reminder(
        type=news.reminder_type or "", order_id=str(news.order_id), at=to_timestamp(news.event.at)
    )


def _event(event_id: str, name: str, data: dict[str, object]) -> HttpBody:
    text = json.dumps({key: _plain(value) for key, value in data.items()}, ensure_ascii=False, separators=(",", ":"))
    return HttpBody(data=f"id: {event_id}\nevent: {name}\ndata: {text}\n\n".encode())


def _plain(value: object) -> object:
    """Return a whole number as JSON has it at the edge, without decimals."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
