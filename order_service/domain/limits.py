"""Limits of what a user may do in some time, as token buckets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from servicekit.errors import RateLimited

# A part of a token that sums of floats may be wrong by.
TOLERANCE = 1e-6


class LimitKind(StrEnum):
    """The kinds of token buckets. A conversation's start, a message and an offer take a token of MESSAGE each."""

    MESSAGE = "message"
    CONVERSATION = "conversation"


@dataclass(frozen=True, slots=True)
class Limit:
    """So many at once; they come back evenly, all of them within `period`."""

    number: int
    period: timedelta

    @property
    def per_second(self) -> float:
        """The tokens that come back in a second."""
        return self.number / self.period.total_seconds()


# By kind.
Limits = dict[LimitKind, Limit]


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """What a user may still do at once: `tokens` at the time `at` (aware)."""

    tokens: float
    at: datetime

    def taken(self, limit: Limit, now: datetime) -> TokenBucket:
        """Return the bucket with one token less. Raises RateLimited, with the time until there is one."""
        seconds = max((now - self.at).total_seconds(), 0.0)
        tokens = min(self.tokens + seconds * limit.per_second, float(limit.number))
        missing = 1 - tokens
        if missing > TOLERANCE:
            raise RateLimited(math.ceil(missing / limit.per_second - TOLERANCE))
        return TokenBucket(max(tokens - 1, 0.0), now)
