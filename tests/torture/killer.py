"""Kills processes of one stack, as `kill -9` does."""

from __future__ import annotations

import psutil

from tests.support.stack import Stack
from tests.torture.repeated import Repeated
from tests.torture.retries import Counts

KINDS = ("gig", "order", "order", "review", "postgres", "backend", "envoy")


class Killer(Repeated):
    """A thread that kills a random part every second."""

    seconds = 1.0
    expected = (psutil.NoSuchProcess,)

    def __init__(self, stack: Stack, seed: int, counts: Counts) -> None:
        super().__init__(seed, counts)
        self._stack = stack

    def act(self) -> None:
        kind = self._random.choice(KINDS)
        parts = [part for name, part in self._stack.processes().items() if _kind(name) == kind]
        if parts:
            self._random.choice(parts).kill()
            self._counts.add("kills")
            self._counts.add(f"killed {kind}")


def _kind(name: str) -> str:
    """Return a part's kind: `order` for `order-0`, `backend` for `backend of orders`, `postgres` for `postmaster`."""
    return {"postmaster": "postgres"}.get(name, name.replace(" ", "-").split("-")[0])
