"""Limits of what a user may do in some time, as token buckets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from servicekit.errors import RateLimited

# Seconds that sums of floats may be wrong by.
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

    def refilled(self, limit: Limit, now: datetime) -> TokenBucket:
        """Return the bucket as it is now."""
        seconds = max((now - self.at).total_seconds(), 0.0)
        return TokenBucket(min(self.tokens + seconds * limit.per_second, float(limit.number)), now)


def take(buckets: Mapping[LimitKind, TokenBucket], limits: Limits, now: datetime) -> dict[LimitKind, TokenBucket]:
    """Return these buckets with one token less each. Raises RateLimited, with the time until all have one."""
    refilled = {kind: bucket.refilled(limits[kind], now) for kind, bucket in buckets.items()}
    waits = [(1 - bucket.tokens) / limits[kind].per_second for kind, bucket in refilled.items()]
    if max(waits) > TOLERANCE:
        raise RateLimited(math.ceil(max(waits) - TOLERANCE))
    return {kind: TokenBucket(max(bucket.tokens - 1, 0.0), now) for kind, bucket in refilled.items()}
