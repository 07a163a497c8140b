"""The number of uploads at once, of all users and of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from servicekit.errors import MarketplaceError, Unavailable


class UploadPlaces:
    """Places for `total` uploads, of which each user can have `per_user`, from the first byte to the answer."""

    def __init__(self, total: int, per_user: int) -> None:
        self._total = total
        self._per_user = per_user
        self._taken: Counter[Hashable] = Counter()

    @contextmanager
    def place(self, user: Hashable) -> Iterator[None]:
        """Take a place for the block. Raises RATE_LIMITED when the user has no more, Unavailable when nobody has."""
        if self._taken[user] >= self._per_user:
            raise MarketplaceError("RATE_LIMITED", f"At most {self._per_user} uploads at once")
        if self._taken.total() >= self._total:
            raise Unavailable
        self._taken[user] += 1
        try:
            yield
        finally:
            self._taken[user] -= 1
            if not self._taken[user]:
                del self._taken[user]
