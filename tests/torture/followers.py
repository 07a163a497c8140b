"""Those who follow while clients trade and parts are killed: watchers, a reader of the feed, a webhook receiver."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.support.stack import Stack
from tests.support.webhook_receiver import Received, WebhookReceiver
from tests.torture.retries import Counts, RetryingClient
from tests.torture.watching import Records, Watcher

# How often the receiver refuses an event, once.
REFUSES = 0.05
# The longest wait at the end until everyone has seen everything (seconds).
LAST_SECONDS = 60.0


class FeedReader:
    """An admin's system that reads the feed, by long-polls."""

    def __init__(self, reader: RetryingClient, counts: Counts) -> None:
        self._reader = reader
        self._counts = counts
        self._next = reader.get("/api/events", after="now")["next"]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader of the feed", daemon=True)
        self.events: list[dict[str, Any]] = []
        self.began_after = self._next

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            page = self._reader.get("/api/events", after=self._next, wait=1, pageSize=50)
            self.events += page["results"]
            self._counts.add("events read from the feed", len(page["results"]))
            self._next = page["next"]


class Followers:
    """A watcher and a webhook endpoint for each of these sellers, and a reader of the feed.

    They begin before anything is traded or killed.
    """

    def __init__(self, stack: Stack, sellers: list[str], receiver: WebhookReceiver, seed: int, counts: Counts) -> None:
        self._admin = RetryingClient(stack.client("follower", "admin"), counts)
        self._receiver = receiver
        self._random = random.Random(seed)  # no secret
        self._refused: set[str] = set()
        self._lock = threading.Lock()
        self.watchers = {name: Watcher(stack, name, seed + number, counts) for number, name in enumerate(sellers)}
        self._feed = FeedReader(self._admin, counts)
        for name in sellers:
            with stack.client(name, "seller") as seller:
                made = seller.post("/api/webhook-endpoints", json={"url": receiver.url_of(name)})
                assert made.status_code == 201, made.text
            receiver.expect(name, made.json()["secret"], self._respond)

    def start(self) -> None:
        self._feed.start()
        for watcher in self.watchers.values():
            watcher.start()

    def differences(self, records: dict[str, Records]) -> Iterator[str]:
        """Wait until everyone has seen everything, end them, and yield where one has missed or repeated something.

        `records` has what is there of each seller.
        """
        deadline = time.monotonic() + LAST_SECONDS
        while time.monotonic() < deadline and self._is_behind(records):
            time.sleep(0.2)
        self._feed.stop()
        for watcher in self.watchers.values():
            watcher.stop()
        for name, watcher in self.watchers.items():
            yield from watcher.differences(records[name].news)
        yield from self._feed_differences(records)
        yield from self._webhook_differences(records)
        self._admin.close()

    def _respond(self, received: Received) -> int:
        """Refuse some events once; accept all others, and every repetition."""
        with self._lock:
            if received.event_id in self._refused or self._random.random() > REFUSES:
                return 204
            self._refused.add(received.event_id)
            return 500

    def _is_behind(self, records: dict[str, Records]) -> bool:
        return any(watcher.news.number < records[name].news.number for name, watcher in self.watchers.items())

    def _whole_feed(self) -> list[dict[str, Any]]:
        """Return all events since the followers began."""
        events: list[dict[str, Any]] = []
        after = self._feed.began_after
        while True:
            page = self._admin.get("/api/events", after=after, pageSize=100)
            if not page["results"]:
                return events
            events += page["results"]
            after = page["next"]

    def _feed_differences(self, records: dict[str, Records]) -> Iterator[str]:
        events = self._whole_feed()
        whole = [event["id"] for event in events]
        read = [event["id"] for event in self._feed.events]
        if read != whole[: len(read)]:
            yield f"the reader of the feed has read {read}, the feed is {whole}"
        if doubled := [event for event, number in Counter(whole).items() if number > 1]:
            yield f"the feed has events twice: {doubled}"
        messages = [event["data"]["id"] for event in events if event["type"] == "message.sent"]
        expected = Counter(message for each in records.values() for message in each.news.messages)
        if Counter(messages) != expected:
            yield f"the feed has the messages {messages}, there are {sorted(expected)}"

    def _webhook_differences(self, records: dict[str, Records]) -> Iterator[str]:
        if self._receiver.invalid:
            yield f"deliveries with an invalid signature: {self._receiver.invalid}"
        events = self._whole_feed()
        for name, each in records.items():
            own = {event["id"] for event in events if _is_of(each, event["data"])}
            came = self._receiver.event_ids(name)
            if own != came:
                yield f"webhooks of {name}: not delivered {own - came}, delivered to the wrong one {came - own}"


def _is_of(records: Records, data: dict[str, Any]) -> bool:
    """Whether an event's order, payout, offer or message is of the seller."""
    return records.seller_id == data.get("sellerId") or records.conversation == data.get("conversationId")
