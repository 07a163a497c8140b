"""The number of things at once, such as uploads or streams: of all users and of each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from servicekit.errors import MarketplaceError, Unavailable


class UserPlaces:
    """Places for `total` things, of which each user can have `per_user`. `things` is their name in the error.

    Threads may take and leave places at the same time.
    """

    def __init__(self, total: int, per_user: int, things: str) -> None:
        self._total = total
        self._per_user = per_user
        self._things = things
        self._lock = threading.Lock()
        self._taken: Counter[Hashable] = Counter()
        # `Counter.total` adds all users up.
        self.taken = 0

    @contextmanager
    def place(self, user: Hashable) -> Iterator[None]:
        """Take a place for the block. Raises RATE_LIMITED when the user has no more, Unavailable when nobody has."""
        self._take(user)
        try:
            yield
        finally:
            self._leave(user)

    def _take(self, user: Hashable) -> None:
        with self._lock:
            if self._taken[user] >= self._per_user:
                raise MarketplaceError("RATE_LIMITED", f"At most {self._per_user} {self._things} at once")
            if self.taken >= self._total:
                raise Unavailable
            self._taken[user] += 1
            self.taken += 1

    def _leave(self, user: Hashable) -> None:
        with self._lock:
            self.taken -= 1
            self._taken[user] -= 1
            if not self._taken[user]:
                del self._taken[user]
