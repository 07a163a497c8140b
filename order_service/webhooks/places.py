"""Delivery places: how many calls a worker makes at once, so that nobody's receivers hold up another's deliveries."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

# Calls of a worker at once: all of them, those to one owner's endpoints, and those to owners whose receivers are slow.
CALLS = 8
CALLS_OF_OWNER = 2
CALLS_OF_SLOW_OWNERS = 4
# A call that takes longer makes its owner a slow one, until a call is faster.
SLOW_SECONDS = 1.0
# Waits of deliveries that found no place.
MIN_WAIT_SECONDS = 0.1
MAX_WAIT_SECONDS = 300.0
# Owners that are remembered; one without a call for so long is forgotten.
FORGET_SECONDS = 600.0


class NoPlace(Exception):
    """No place is free for this owner. One will be after `delay`, most likely."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__("waits for a delivery place")
        self.delay = delay


@dataclass
class _Owner:
    under_way: list[float] = field(default_factory=list)
    seconds: float = 0.0
    # When the deliveries that have been told to wait will have had their places, by time.monotonic().
    served_at: float = 0.0
    last: float = 0.0

    def is_slow(self, now: float) -> bool:
        """Whether the last call was slow, or one under way is."""
        return self.seconds > SLOW_SECONDS or any(now - began > SLOW_SECONDS for began in self.under_way)

    def wait(self, now: float) -> float:
        """Return the seconds until a place is free, for one delivery after the other of those that ask.

        So a long queue is not asked again and again, and those of other owners are found behind it.
        """
        longest = max([self.seconds, *(now - began for began in self.under_way)])
        self.served_at = max(self.served_at, now) + max(longest / CALLS_OF_OWNER, 0.01)
        return min(max(self.served_at - now, MIN_WAIT_SECONDS), MAX_WAIT_SECONDS)


class DeliveryPlaces:
    """The places of one worker, by owner."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[UUID, _Owner] = {}

    @contextmanager
    def place(self, owner_id: UUID) -> Iterator[None]:
        """Hold a place for a call to an endpoint of this owner. Raises NoPlace."""
        began = time.monotonic()
        with self._lock:
            owner = self._owners.setdefault(owner_id, _Owner())
            if not self._has_place(owner, began):
                jitter = random.uniform(1.0, 1.3)  # noqa: S311  # jitter is no secret
                raise NoPlace(timedelta(seconds=owner.wait(began) * jitter))
            owner.under_way.append(began)
        try:
            yield
        finally:
            ended = time.monotonic()
            with self._lock:
                owner.under_way.remove(began)
                if owner.seconds > SLOW_SECONDS >= ended - began:
                    # The waits so far were for slow calls.
                    owner.served_at = ended
                owner.seconds, owner.last = ended - began, ended
                self._forget(ended)

    def _has_place(self, owner: _Owner, now: float) -> bool:
        if len(owner.under_way) >= CALLS_OF_OWNER:
            return False
        if not owner.is_slow(now):
            return True
        slow = sum(len(each.under_way) for each in self._owners.values() if each.is_slow(now))
        return slow < CALLS_OF_SLOW_OWNERS

    def _forget(self, now: float) -> None:
        idle = [
            owner_id
            for owner_id, owner in self._owners.items()
            if not owner.under_way and now - owner.last > FORGET_SECONDS
        ]
        for owner_id in idle:
            del self._owners[owner_id]
