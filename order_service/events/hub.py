"""The streams and long-polls of the process, by what they wait for. All of it runs on the event loop."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from prometheus_client import Counter, Gauge

from order_service.domain.feed import HistoryRow, News, NumberedEvent
from servicekit.errors import Unavailable

SUBSCRIPTIONS = Gauge("marketplace_event_subscriptions", "Watches and long-polls under way.")
POSITION = Gauge("marketplace_feed_position", "The position of the newest event that this process has read.")
SLOW = Counter("marketplace_slow_watches_total", "Watches that were ended because their clients read too slowly.")

# The most news that wait for a client to read them.
MAX_WAITING = 1000
# The longest wait for the first look at the feed after a start.
READY_SECONDS = 3.0


class Topic(NamedTuple):
    """What a subscription is about: an order, a user, or, without an id, the whole feed."""

    kind: str
    id: UUID | None = None

    @classmethod
    def of_order(cls, order_id: UUID) -> Topic:
        """Return the topic of an order."""
        return cls("order", order_id)

    @classmethod
    def of_user(cls, user_id: UUID) -> Topic:
        """Return the topic of all that is new for a user."""
        return cls("user", user_id)


FEED = Topic("feed")


class Subscription:
    """The news for one stream, in the feed's order, until the stream takes them."""

    __slots__ = ("_arrived", "_is_cut", "_news")

    def __init__(self) -> None:
        self._news: deque[News] = deque()
        self._arrived = asyncio.Event()
        self._is_cut = False

    def put(self, news: News) -> None:
        """Add news. With too many, because the stream's client reads too slowly, it forgets all: see `take`."""
        if self._is_cut:
            return
        if len(self._news) >= MAX_WAITING:
            self._is_cut = True
            self._news.clear()
            SLOW.inc()
        else:
            self._news.append(news)
        self._arrived.set()

    def wake(self) -> None:
        """End the current wait, or the next one."""
        self._arrived.set()

    async def wait(self, seconds: float) -> bool:
        """Wait until there are news or `wake` is called, for `seconds` at most. Return whether that has happened."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._arrived.wait()
        except TimeoutError:
            return False
        self._arrived.clear()
        return True

    def take(self) -> list[News]:
        """Remove the news, and return them. Raises Unavailable when there were too many: the client has to resume."""
        if self._is_cut:
            raise Unavailable
        news = list(self._news)
        self._news.clear()
        return news


class Hub:
    """The subscriptions of the process. `position` is that of the newest event that they have got.

    Who subscribes and then reads the database misses nothing: an event up to `position` is in the database, and each
    later one will be put into the subscription. Some come both ways.
    """

    def __init__(self) -> None:
        self._subscriptions: defaultdict[Topic, set[Subscription]] = defaultdict(set)
        self._is_ready = asyncio.Event()
        self.position = 0
        self.is_over = False

    @contextmanager
    def subscribe(self, topic: Topic) -> Iterator[Subscription]:
        """Yield a subscription that lasts as long as the block. Raises Unavailable when the process is stopping."""
        if self.is_over:
            raise Unavailable
        subscription = Subscription()
        subscriptions = self._subscriptions[topic]
        subscriptions.add(subscription)
        SUBSCRIPTIONS.inc()
        try:
            yield subscription
        finally:
            SUBSCRIPTIONS.dec()
            subscriptions.discard(subscription)
            if not subscriptions and self._subscriptions.get(topic) is subscriptions:
                del self._subscriptions[topic]

    async def wait_until_ready(self) -> None:
        """Wait for the first look at the feed. Raises Unavailable when it takes too long: the database is away."""
        if not self._is_ready.is_set():
            try:
                async with asyncio.timeout(READY_SECONDS):
                    await self._is_ready.wait()
            except TimeoutError as error:
                raise Unavailable from error

    def begin(self, position: int) -> None:
        """Begin after this position."""
        self.position = position
        POSITION.set(position)
        self._is_ready.set()

    def publish(self, events: Sequence[NumberedEvent]) -> None:
        """Put the next events of the feed into the subscriptions that they concern."""
        for event in events:
            self.position = event.position
            if event.news is not None:
                for topic in _topics(event.people, event.news):
                    for subscription in self._subscriptions.get(topic, ()):
                        subscription.put(event.news)
        POSITION.set(self.position)
        if not all(event.is_internal for event in events):
            for subscription in self._subscriptions.get(FEED, ()):
                subscription.wake()

    def end(self) -> None:
        """End all waits, and refuse new subscriptions."""
        self.is_over = True
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.wake()


def _topics(people: Iterable[UUID], news: News) -> list[Topic]:
    topics = [Topic.of_user(user_id) for user_id in people]
    if isinstance(news.subject, HistoryRow):
        topics.append(Topic.of_order(news.subject.order_id))
    return topics
