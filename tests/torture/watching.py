"""A seller who watches all that is new while clients trade and parts are killed."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.stack import Stack
from tests.torture.retries import Counts

# A silent connection is given up after this time (seconds); a heartbeat comes every 15 s at least.
SILENCE_SECONDS = 20.0
# How often a watcher goes away by itself after an event.
LEAVES = 0.05

# An event as a history has it: the party, the action and the status after it.
Step = tuple[str, str, str]


def to_step(event: dict[str, Any]) -> Step:
    """Return the step of a row of a history."""
    return event["by"], event["action"], event["to"]


@dataclass
class News:
    """What a seller's watch tells, or has to tell."""

    steps: dict[str, list[Step]] = field(default_factory=dict)
    """The history of each order."""
    messages: list[str] = field(default_factory=list)
    """The ids of the messages, oldest first."""
    offers: dict[str, list[str]] = field(default_factory=dict)
    """The statuses that each offer has had."""

    @property
    def number(self) -> int:
        """Return how many events there are, without marks of reading."""
        return sum(map(len, self.steps.values())) + len(self.messages) + sum(map(len, self.offers.values()))


@dataclass(frozen=True)
class Records:
    """What is there of a seller, for a comparison with what followers have seen."""

    seller_id: str
    conversation: str
    news: News


class Watcher:
    """A seller who watches all that is new, and comes back with the last id whenever the stream ends."""

    def __init__(self, stack: Stack, name: str, seed: int, counts: Counts) -> None:
        self._client = stack.client(name, "seller")
        self._random = random.Random(seed)  # no secret
        self._counts = counts
        self._stopping = threading.Event()
        self._is_watching = threading.Event()
        self.name = f"watcher {name}"
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.ids: list[int] = []
        self.news = News()
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
        if kind := block.get("event"):
            self._note(kind, json.loads(block["data"]))
            self.ids.append(int(block["id"]))
            self._counts.add("events watched")
        if "id" in block:
            self._last_id = block["id"]
            self._is_watching.set()

    def _note(self, kind: str, data: dict[str, Any]) -> None:
        match kind:
            case "order":
                self.news.steps.setdefault(data["orderId"], []).append(to_step(data))
            case "message":
                self.news.messages.append(data["id"])
            case "offer":
                self.news.offers.setdefault(data["id"], []).append(data["status"])
            case "read":
                self._counts.add("marks watched")

    def differences(self, expected: News) -> Iterator[str]:
        """Yield what it has missed, seen twice, or seen of others."""
        yield from self.errors
        if self.ids != sorted(set(self.ids)):
            yield f"{self.name}: ids that are repeated or out of order: {self.ids}"
        if self.news != expected:
            yield f"{self.name}: saw {self.news}, there is {expected}"
