"""Kills processes of one stack, as `kill -9` does."""

from __future__ import annotations

import contextlib
import random
import threading

import psutil

from tests.support.stack import Stack
from tests.torture.retries import Counts

EVERY_SECONDS = 1.0
KINDS = ("gig", "order", "order", "review", "postgres", "backend", "envoy")


class Killer:
    """A thread that kills a random part every second, until it is stopped."""

    def __init__(self, stack: Stack, seed: int, counts: Counts) -> None:
        self._stack = stack
        self._random = random.Random(seed)  # no secret
        self._counts = counts
        self._stopping = threading.Event()
        self.kills = 0
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_SECONDS):
            kind = self._random.choice(KINDS)
            parts = [part for name, part in self._stack.processes().items() if _kind(name) == kind]
            if parts:
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._random.choice(parts).kill()
                    self.kills += 1
                    self._counts.add(f"killed {kind}")


def _kind(name: str) -> str:
    """Return a part's kind: `order` for `order-0`, `backend` for `backend of orders`, `postgres` for `postmaster`."""
    return {"postmaster": "postgres"}.get(name, name.replace(" ", "-").split("-")[0])
