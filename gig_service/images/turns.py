"""Turns at a few places: users take turns, so that many pictures of one user do not hold up the others."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from servicekit.errors import Unavailable

# The weight of the latest turn in the mean of their seconds.
_LATEST = 0.2


class Turns:
    """`places` that are taken for one turn each, in turn by user; it belongs to one event loop.

    A user who would wait for more than `wait_seconds`, or has waited so long, gets Unavailable.
    """

    def __init__(self, places: int, wait_seconds: float) -> None:
        self._free = deque(range(places))
        self._places = places
        self._wait_seconds = wait_seconds
        # The users who wait, the next one first, each with their turns in the order of their coming.
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[int]]] = OrderedDict()
        self._mean_seconds = 0.0

    @property
    def waiting(self) -> int:
        """The number of turns that wait."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def turn(self, user: Hashable) -> AsyncIterator[int]:
        """Wait for a place, and take it for the block. Raises Unavailable."""
        place = self._free.popleft() if self._free else await self._wait(user)
        began = time.monotonic()
        try:
            yield place
        finally:
            self._mean_seconds += _LATEST * (time.monotonic() - began - self._mean_seconds)
            self._release(place)

    async def _wait(self, user: Hashable) -> int:
        if self._expected_seconds(user) > self._wait_seconds:
            raise Unavailable
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user, deque()).append(future)
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await future
        except TimeoutError as error:
            self._give_up(user, future)
            raise Unavailable from error
        except asyncio.CancelledError:
            self._give_up(user, future)
            raise

    def _expected_seconds(self, user: Hashable) -> float:
        """Return how long a new turn of the user would wait: those before it, by the mean of the latest turns."""
        own = len(self._waiting.get(user, ()))
        others = sum(min(len(turns), own + 1) for waiting, turns in self._waiting.items() if waiting != user)
        return (own + others + 1) * self._mean_seconds / self._places

    def _give_up(self, user: Hashable, future: asyncio.Future[int]) -> None:
        if future.done() and not future.cancelled():
            # The place came at the same moment.
            self._release(future.result())
            return
        turns = self._waiting[user]
        turns.remove(future)
        if not turns:
            del self._waiting[user]

    def _release(self, place: int) -> None:
        """Give the place to the next user, who then waits behind all others."""
        while self._waiting:
            user, turns = self._waiting.popitem(last=False)
            future = turns.popleft()
            if turns:
                self._waiting[user] = turns
            if not future.done():
                future.set_result(place)
                return
        self._free.append(place)
