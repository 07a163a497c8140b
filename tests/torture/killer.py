"""Kills processes of one stack, as `kill -9` does."""

from __future__ import annotations

import psutil

from tests.support.stack import Stack
from tests.torture.repeated import Repeated
from tests.torture.retries import Counts

KINDS = ("gig", "order", "order", "review", "postgres", "backend", "envoy")
# What clients get done; it needs most of the parts.
DONE = ("orders placed", "actions acknowledged")
# On a machine that needs long for a start, kills without a pause would leave no time in which anything gets done.
MOST_SINCE_DONE = 2


class Killer(Repeated):
    """A thread that kills a random part every second; after two, the next waits until clients get something done."""

    seconds = 1.0
    expected = (psutil.NoSuchProcess,)

    def __init__(self, stack: Stack, seed: int, counts: Counts) -> None:
        super().__init__(seed, counts)
        self._stack = stack
        self._done = 0
        self._kills_since_done = 0

    def act(self) -> None:
        done = sum(self._counts.numbers[name] for name in DONE)
        if done > self._done:
            self._done, self._kills_since_done = done, 0
        if self._kills_since_done == MOST_SINCE_DONE:
            return
        kind = self._random.choice(KINDS)
        parts = [part for name, part in self._stack.processes().items() if _kind(name) == kind]
        if parts:
            self._random.choice(parts).kill()
            self._kills_since_done += 1
            self._counts.add("kills")
            self._counts.add(f"killed {kind}")


def _kind(name: str) -> str:
    """Return a part's kind: `order` for `order-0`, `backend` for `backend of orders`, `postgres` for `postmaster`."""
    return {"postmaster": "postgres"}.get(name, name.replace(" ", "-").split("-")[0])
