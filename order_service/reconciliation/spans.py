"""Spans of time in which the provider is asked for what it created."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

SHORTEST_SLICE = timedelta(hours=1)
MOST_SLICES = 1000
# The most by which the provider's clock and ours differ.
SKEW = timedelta(minutes=1)
# Before every payment.
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


class Span(NamedTuple):
    """The time from `since` on and before `until`, both aware."""

    since: datetime
    until: datetime


def slices(since: datetime | None, until: datetime, first: datetime | None) -> Iterator[Span]:
    """Yield the time in slices of an hour or more, which meet. The time before the first order is one slice.

    `since` is None for the beginning, `first` is None when there is no order.
    """
    start = since or BEGINNING
    first_slice = (first or until) - SHORTEST_SLICE
    if since is None and BEGINNING < first_slice < until:
        yield Span(BEGINNING, first_slice)
        start = first_slice
    length = max(SHORTEST_SLICE, (until - start) / MOST_SLICES)
    while start < until:
        yield Span(start, min(start + length, until))
        start += length


def merge(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans with those that overlap as one, oldest first."""
    merged: Span | None = None
    for span in sorted(spans):
        if merged is None or span.since > merged.until:
            if merged is not None:
                yield merged
            merged = span
        else:
            merged = Span(merged.since, max(merged.until, span.until))
    if merged is not None:
        yield merged


def time_of(row_id: UUID, created_at: datetime) -> datetime:
    """Return the time at which an id was made; where it does not say so, the time of its row. Aware."""
    if row_id.version != 7:
        return created_at
    # https://www.rfc-editor.org/rfc/rfc9562#section-5.7
    return datetime.fromtimestamp((row_id.int >> 80) / 1000, UTC)
