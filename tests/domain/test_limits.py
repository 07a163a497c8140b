"""Token buckets: what is taken, and when the next one would be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_service.domain.limits import Limit, LimitKind, TokenBucket, take
from servicekit.errors import RateLimited

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = {
    LimitKind.MESSAGE: Limit(30, timedelta(minutes=1)),
    LimitKind.CONVERSATION: Limit(10, timedelta(hours=1)),
}
FULL = {LimitKind.MESSAGE: TokenBucket(30, NOW)}
BOTH = {**FULL, LimitKind.CONVERSATION: TokenBucket(10, NOW)}


def test_a_full_bucket_gives_its_number_and_then_says_when_the_next_one_is_there() -> None:
    buckets = FULL
    for _ in range(30):
        buckets = take(buckets, LIMITS, NOW)
    with pytest.raises(RateLimited) as refused:
        take(buckets, LIMITS, NOW)

    assert refused.value.retry_after == 2
    take(buckets, LIMITS, NOW + timedelta(seconds=2))


def test_the_longest_wait_of_several_buckets_is_told() -> None:
    buckets = {**BOTH, LimitKind.CONVERSATION: TokenBucket(0, NOW), LimitKind.MESSAGE: TokenBucket(0, NOW)}
    with pytest.raises(RateLimited) as refused:
        take(buckets, LIMITS, NOW)

    assert refused.value.retry_after == 360


def test_a_clock_that_goes_back_gives_and_takes_nothing() -> None:
    bucket = TokenBucket(3, NOW)

    assert bucket.refilled(LIMITS[LimitKind.MESSAGE], NOW - timedelta(hours=1)).tokens == 3


def test_a_bucket_never_has_more_than_its_limit_even_when_that_was_lowered() -> None:
    assert TokenBucket(30, NOW).refilled(Limit(5, timedelta(minutes=1)), NOW).tokens == 5


@given(
    number=st.integers(min_value=1, max_value=10_000),
    period=st.sampled_from([timedelta(minutes=1), timedelta(hours=1)]),
    pauses=st.lists(st.floats(min_value=0, max_value=120), max_size=60),
)
def test_whoever_waits_as_long_as_told_is_not_refused_and_no_period_has_more_than_twice_the_limit(
    number: int, period: timedelta, pauses: list[float]
) -> None:
    limits = {LimitKind.MESSAGE: Limit(number, period)}
    now, buckets = NOW, {LimitKind.MESSAGE: TokenBucket(float(number), NOW)}
    taken = []
    for pause in pauses:
        now += timedelta(seconds=pause)
        try:
            buckets = take(buckets, limits, now)
        except RateLimited as refused:
            assert refused.retry_after is not None
            now += timedelta(seconds=refused.retry_after)
            buckets = take(buckets, limits, now)
        taken.append(now)

    for first in taken:
        assert sum(first <= each < first + period for each in taken) <= 2 * number
