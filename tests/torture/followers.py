"""Those who follow while clients trade and parts are killed: watchers, a reader of the feed, a webhook receiver."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import httpx

from tests.support.stack import Stack
from tests.support.webhook_receiver import Received, WebhookReceiver
from tests.torture.retries import Counts, RetryingClient

# A silent connection is given up after this time (seconds); a heartbeat comes every 15 s at least.
SILENCE_SECONDS = 20.0
# How often a watcher goes away by itself after an event.
LEAVES = 0.05
# How often the receiver refuses an event, once.
REFUSES = 0.05
# The longest wait at the end until everyone has seen everything (seconds).
LAST_SECONDS = 60.0

# An event as a history has it: the party, the action and the status after it.
Step = tuple[str, str, str]


def to_step(event: dict[str, Any]) -> Step:
    """Return the step of a row of a history."""
    return event["by"], event["action"], event["to"]


class Watcher:
    """A seller who watches all that is new, and comes back with the last id whenever the stream ends."""

    def __init__(self, stack: Stack, name: str, seed: int, counts: Counts) -> None:
        self._client = stack.client(name, "seller")
        self._random = random.Random(seed)  # no secret
        self._counts = counts
        self._stopping = threading.Event()
        self._is_watching = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watcher {name}", daemon=True)
        self.ids: list[int] = []
        self.steps: defaultdict[str, list[Step]] = defaultdict(list)
        self.errors: list[str] = []
        self._last_id = ""

    def start(self) -> None:
        """Begin to watch. Raises TimeoutError when that takes too long."""
        self._thread.start()
        if not self._is_watching.wait(30):
            raise TimeoutError("the watch has not begun")

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(httpx.TransportError):
                self._watch()
            self._counts.add("watches ended")
            self._stopping.wait(0.2)

    def _watch(self) -> None:
        headers = {"last-event-id": self._last_id} if self._last_id else {}
        with self._client.stream("GET", "/api/watch", headers=headers, timeout=SILENCE_SECONDS) as answer:
            if answer.status_code != 200:
                if answer.status_code not in (503, 504):
                    self.errors.append(f"a watch after {self._last_id!r}: {answer.status_code} {answer.read()!r}")
                return
            block: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name:
                    block[name] = value
                    continue
                self._take(block)
                block = {}
                if self._stopping.is_set() or (self._last_id and self._random.random() < LEAVES):
                    return

    def _take(self, block: dict[str, str]) -> None:
        """Take one block of the stream. An id counts once its block is complete."""
        if block.get("event") == "order":
            event = json.loads(block["data"])
            self.ids.append(int(block["id"]))
            self.steps[event["orderId"]].append(to_step(event))
            self._counts.add("events watched")
        if "id" in block:
            self._last_id = block["id"]
            self._is_watching.set()


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

    def differences(self, histories: dict[str, dict[str, list[Step]]], seller_ids: dict[str, str]) -> Iterator[str]:
        """Wait until everyone has seen everything, end them, and yield where one has missed or repeated something.

        `histories` has the steps of each order, by seller; `seller_ids` the id of each seller.
        """
        deadline = time.monotonic() + LAST_SECONDS
        while time.monotonic() < deadline and self._is_behind(histories):
            time.sleep(0.2)
        self._feed.stop()
        for watcher in self.watchers.values():
            watcher.stop()
        for name, watcher in self.watchers.items():
            yield from watcher.errors
            if watcher.ids != sorted(set(watcher.ids)):
                yield f"watcher {name}: ids that are repeated or out of order: {watcher.ids}"
            if watcher.steps != histories[name]:
                yield f"watcher {name}: saw {dict(watcher.steps)}, the histories have {histories[name]}"
        yield from self._feed_differences()
        yield from self._webhook_differences(seller_ids)
        self._admin.close()

    def _respond(self, received: Received) -> int:
        """Refuse some events once; accept all others, and every repetition."""
        with self._lock:
            if received.event_id in self._refused or self._random.random() > REFUSES:
                return 204
            self._refused.add(received.event_id)
            return 500

    def _is_behind(self, histories: dict[str, dict[str, list[Step]]]) -> bool:
        return any(
            sum(map(len, watcher.steps.values())) < sum(map(len, histories[name].values()))
            for name, watcher in self.watchers.items()
        )

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

    def _feed_differences(self) -> Iterator[str]:
        whole = [event["id"] for event in self._whole_feed()]
        read = [event["id"] for event in self._feed.events]
        if read != whole[: len(read)]:
            yield f"the reader of the feed has read {read}, the feed is {whole}"
        if doubled := [event for event, number in Counter(whole).items() if number > 1]:
            yield f"the feed has events twice: {doubled}"

    def _webhook_differences(self, seller_ids: dict[str, str]) -> Iterator[str]:
        if self._receiver.invalid:
            yield f"deliveries with an invalid signature: {self._receiver.invalid}"
        events = self._whole_feed()
        for name, seller_id in seller_ids.items():
            own = {event["id"] for event in events if event["data"]["sellerId"] == seller_id}
            came = self._receiver.event_ids(name)
            if own != came:
                yield f"webhooks of {name}: not delivered {own - came}, delivered to the wrong one {came - own}"
