"""The RPCs of EventService. Nothing here may block the event loop. The pipeline around them is servicekit.aio."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message

from marketplace.event.v1 import event_pb2
from order_service.convert.feed import to_feed_event
from order_service.convert.watches import Encoder, OrderResponses, ServerSentEvents, UserResponses
from order_service.domain.lifecycle import Timeouts
from order_service.events.hub import FEED, Hub
from order_service.events.watches import OrderWatch, ResumeId, UserWatch, Watched
from order_service.store.store import Store
from servicekit import paging
from servicekit.call import RESERVE_SECONDS, Call
from servicekit.metadata import LAST_EVENT_ID
from servicekit.user_places import UserPlaces

# The longest pause between two responses over HTTP. Each pause is up to a tenth shorter, so that streams that began
# together do not all send at once for ever.
HEARTBEAT_SECONDS = 14.0
# The `after` of the feed for none of the events that there are.
NOW = "now"

R = TypeVar("R", bound=Message)


class EventServicer:
    """The RPCs of `marketplace.event.v1.EventService`.

    `places` bounds the watches at once; each ends after `lifetime`. With `timeouts` the feed knows
    the actions that an order had.
    """

    def __init__(self, store: Store, hub: Hub, places: UserPlaces, *, lifetime: timedelta, timeouts: Timeouts) -> None:
        self._store = store
        self._hub = hub
        self._places = places
        self._lifetime = lifetime.total_seconds()
        self._timeouts = timeouts

    def WatchOrder(
        self, request: event_pb2.WatchOrderRequest, call: Call
    ) -> AsyncGenerator[event_pb2.WatchOrderResponse, None]:
        watch = OrderWatch(self._store, UUID(request.order_id), call.caller)
        return self._watch(watch, ResumeId(request.after, "after"), OrderResponses(), call)

    def WatchOrderSse(self, request: event_pb2.WatchOrderSseRequest, call: Call) -> AsyncGenerator[HttpBody, None]:
        watch = OrderWatch(self._store, UUID(request.order_id), call.caller)
        return self._watch(watch, _last_event_id(call), ServerSentEvents(names_order=False), call)

    def Watch(self, request: event_pb2.WatchRequest, call: Call) -> AsyncGenerator[event_pb2.WatchResponse, None]:
        watch = UserWatch(self._store, call.user_id)
        return self._watch(watch, ResumeId(request.after, "after"), UserResponses(), call)

    def WatchSse(self, request: event_pb2.WatchSseRequest, call: Call) -> AsyncGenerator[HttpBody, None]:
        watch = UserWatch(self._store, call.user_id)
        return self._watch(watch, _last_event_id(call), ServerSentEvents(names_order=True), call)

    async def ListEvents(self, request: event_pb2.ListEventsRequest, call: Call) -> event_pb2.ListEventsResponse:
        end = _end(call, request.wait)
        with self._hub.subscribe(FEED) as subscription:
            await self._hub.wait_until_ready()
            after = await asyncio.to_thread(self._begin_after, request.after)
            while True:
                response = await asyncio.to_thread(self._page, after, paging.page_size(request.page_size))
                seconds = end - time.monotonic()
                if response.results or seconds <= 0 or self._hub.is_over:
                    return response
                await subscription.wait(seconds)

    async def _watch(
        self, watch: Watched, resume: ResumeId, encoder: Encoder[R], call: Call
    ) -> AsyncGenerator[R, None]:
        """Yield what came after the id, then the news as they come.

        It subscribes first and reads the database afterwards. News that come both ways are told by their numbers.
        """
        end = _end(call, self._lifetime)
        with self._places.place(call.user_id), self._hub.subscribe(watch.topic) as subscription:
            await self._hub.wait_until_ready()
            opening = await asyncio.to_thread(watch.open, resume)
            if opening.is_over:
                return
            place, batch = opening.place, opening.news
            for response in encoder.opening(str(place) if watch.has_places and not resume.text else ""):
                yield response
            is_caught_up = False
            while True:
                for news in batch:
                    if watch.number(news) > place:
                        place = watch.number(news)
                        yield encoder.news(str(place), news)
                        if watch.ends_with(news):
                            return
                if opening.has_more:
                    opening = await asyncio.to_thread(watch.read, place)
                    batch = opening.news
                elif not (batch := subscription.take()):
                    # The stream has sent everything up to the hub's position.
                    is_ending = self._hub.is_over or time.monotonic() >= end
                    if watch.has_places and (is_ending or not is_caught_up) and self._hub.position > place:
                        place = self._hub.position
                        yield encoder.place(str(place))
                    if is_ending:
                        return
                    is_caught_up = True
                    pause = min(HEARTBEAT_SECONDS * random.uniform(0.9, 1), end - time.monotonic())  # noqa: S311  # no secret
                    if not await subscription.wait(pause) and (heartbeat := encoder.heartbeat()) is not None:
                        yield heartbeat

    def _begin_after(self, after: str) -> int:
        """Return the position after which a page begins. Raises InvalidArgument."""
        reader = self._store.feed_reader
        reader.number()
        if after == NOW:
            return reader.newest()
        resume = ResumeId(after, "after")
        position = resume.number() or 0
        if position > reader.newest():
            raise resume.error("was never a `next`")
        return position

    def _page(self, after: int, size: int) -> event_pb2.ListEventsResponse:
        page = self._store.feed_reader.page(after, size)
        results = [to_feed_event(each.event, self._timeouts) for each in page]
        return event_pb2.ListEventsResponse(results=results, next=str(page[-1].position if page else after))


def _end(call: Call, seconds: float) -> float:
    """Return the end of a wait on the clock of time.monotonic(); it leaves time to respond before the deadline."""
    end = time.monotonic() + seconds
    return end if call.deadline is None else min(end, call.deadline - RESERVE_SECONDS)


def _last_event_id(call: Call) -> ResumeId:
    return ResumeId(call.metadata.get(LAST_EVENT_ID, ""), "Last-Event-ID")
