"""News as the responses of watches: typed ones, and server-sent events."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Protocol, TypeVar, assert_never

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message as Proto

from marketplace.event.v1 import event_pb2
from order_service.convert.feed import to_json
from order_service.convert.messages import to_message
from order_service.convert.offers import to_offer
from order_service.convert.orders import to_event
from order_service.domain.conversation import Message
from order_service.domain.feed import HistoryRow, News, ReadMark
from order_service.domain.offer import Offer
from servicekit.times import to_timestamp

CONTENT_TYPE = "text/event-stream"
# After a restart of the process, clients come back within this time (milliseconds), spread over it.
RETRY_MS = (1000, 4000)

R_co = TypeVar("R_co", bound=Proto, covariant=True)


class Encoder(Protocol[R_co]):
    """Makes the responses of a watch."""

    def opening(self, event_id: str) -> Sequence[R_co]:
        """Return what is sent at once. The id is where the watch begins; empty where the client needs none."""
        ...

    def news(self, event_id: str, news: News) -> R_co:
        """Return something new."""
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
        retry = random.randint(*RETRY_MS)  # noqa: S311  # no secret
        return [HttpBody(content_type=CONTENT_TYPE, data=b": watching\nretry: %d\n%b\n" % (retry, place))]

    def news(self, event_id: str, news: News) -> HttpBody:
        """Return an event with what its Get returns in JSON: an order's has a row of the history."""
        match news.subject:
            case HistoryRow(reminder_type=None) as row:
                name, data = "order", to_json(to_event(row.event))
                if self._names_order:
                    data = {"orderId": str(row.order_id), **data}
            case HistoryRow() as reminder:
                name, data = "reminder", to_json(to_reminder(reminder))
            case Message() as message:
                name, data = "message", to_json(to_message(message))
            case Offer() as offer:
                name, data = "offer", to_json(to_offer(offer))
            case ReadMark() as mark:
                name, data = "read", to_json(to_read_mark(mark))
            case _:
                assert_never(news.subject)
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        return HttpBody(data=f"id: {event_id}\nevent: {name}\ndata: {text}\n\n".encode())

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

    def news(self, event_id: str, news: News) -> event_pb2.WatchOrderResponse:
        """Return a change or a reminder."""
        assert isinstance(news.subject, HistoryRow)
        if news.subject.reminder_type is not None:
            return event_pb2.WatchOrderResponse(id=event_id, reminder=to_reminder(news.subject))
        return event_pb2.WatchOrderResponse(id=event_id, change=to_event(news.subject.event))

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

    def news(self, event_id: str, news: News) -> event_pb2.WatchResponse:
        """Return something new, with the order that it is about, if it is about one."""
        response = event_pb2.WatchResponse(id=event_id)
        match news.subject:
            case HistoryRow(order_id=order_id, reminder_type=None, event=event):
                response.order_id = str(order_id)
                response.change.CopyFrom(to_event(event))
            case HistoryRow() as reminder:
                response.order_id = str(reminder.order_id)
                response.reminder.CopyFrom(to_reminder(reminder))
            case Message() as message:
                response.message.CopyFrom(to_message(message))
            case Offer() as offer:
                response.offer.CopyFrom(to_offer(offer))
            case ReadMark() as mark:
                response.read.CopyFrom(to_read_mark(mark))
            case _:
                assert_never(news.subject)
        return response

    def place(self, event_id: str) -> event_pb2.WatchResponse:
        """Return an id alone."""
        return event_pb2.WatchResponse(id=event_id)

    def heartbeat(self) -> None:
        """Return nothing: HTTP/2 has pings."""


def to_reminder(row: HistoryRow) -> event_pb2.Reminder:
    """Convert a reminder."""
    return event_pb2.Reminder(type=row.reminder_type or "", order_id=str(row.order_id), at=to_timestamp(row.event.at))


def to_read_mark(mark: ReadMark) -> event_pb2.ReadMark:
    """Convert a mark of reading."""
    return event_pb2.ReadMark(
        conversation_id=str(mark.conversation_id), message_id=str(mark.message_id), unread=mark.unread
    )
