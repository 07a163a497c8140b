"""The slices of time in which reconciliation asks the provider."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from order_service.reconciliation.spans import BEGINNING, MOST_SLICES, slices

NOW = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("since", [None, NOW - timedelta(days=400), NOW - HOUR / 2])
@pytest.mark.parametrize("first", [None, NOW - timedelta(days=900), NOW - HOUR / 4, NOW + HOUR])
def test_slices_meet_and_cover_the_whole_time(since: datetime | None, first: datetime | None) -> None:
    found = list(slices(since, NOW, first))

    assert found[0].since == (since or BEGINNING)
    assert found[-1].until == NOW
    assert all(before.until == after.since for before, after in itertools.pairwise(found))
    assert len(found) <= MOST_SLICES + 1


def test_the_time_without_orders_is_one_slice() -> None:
    assert len(list(slices(None, NOW, None))) == 2
    assert len(list(slices(None, NOW, NOW - 10 * HOUR))) == 12
