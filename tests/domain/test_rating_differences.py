"""Which differences between reviews, their counts and GigService's rating are faults, and which are on their way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from review_service.domain.rating_differences import GigServiceRating, Records, compare
from review_service.domain.star_counts import StarCounts
from servicekit.ids import new_id

GIG = new_id()


def counts(version: int, *stars: int) -> StarCounts:
    one, two, three, four, five = (stars.count(each) for each in (1, 2, 3, 4, 5))
    return StarCounts(version, (one, two, three, four, five))


def records(version: int, *stars: int, **changed: Any) -> Records:
    """Return records whose counts are those of the reviews."""
    return replace(Records(GIG, counts(version, *stars), counts(version, *stars)), **changed)


def rating(version: int, *stars: int, **changed: Any) -> GigServiceRating:
    return replace(GigServiceRating(GIG, version, len(stars), sum(stars)), **changed)


@pytest.mark.parametrize(
    ("before", "theirs", "after"),
    [
        (records(0), rating(0), records(0)),
        (records(2, 5, 4), rating(2, 5, 4), records(2, 5, 4)),
        # On its way.
        (records(2, 5, 4, is_waiting=True), rating(1, 5), records(2, 5, 4, is_waiting=True)),
        (records(1, 5, is_waiting=True), rating(0), records(1, 5)),
        # Delivered, and the row of the outbox is not deleted yet.
        (records(2, 5, 4, is_waiting=True), rating(2, 5, 4), records(2, 5, 4, is_waiting=True)),
        # A review came, and was delivered, between the two readings.
        (records(1, 5), rating(2, 5, 4), records(2, 5, 4)),
        (records(0), rating(1, 5), records(3, 5, 4, 1)),
        # It came after both readings.
        (records(1, 5), rating(1, 5), records(2, 5, 4, is_waiting=True)),
    ],
)
def test_reviews_of_this_moment_are_no_difference(before: Records, theirs: GigServiceRating, after: Records) -> None:
    assert compare(before, theirs, after).texts == []


@pytest.mark.parametrize(
    ("mine", "theirs", "text"),
    [
        (records(2, 5, 4), rating(1, 5), "GigService has 1 reviews with 5 stars (version 1), ReviewService 2 reviews"),
        (records(1, 5), rating(0), "GigService has 0 reviews with 0 stars (version 0), ReviewService 1 reviews with 5"),
        (records(2, 5, 4), rating(2, 5, 5), "GigService has 2 reviews with 10 stars (version 2), ReviewService 2"),
        (records(2, 5, 4), rating(2, 5, 3, 1), "GigService has 3 reviews with 9 stars (version 2), ReviewService 2"),
        (records(2, 5, 4), rating(3, 5, 4), "GigService has 2 reviews with 9 stars (version 3), ReviewService 2"),
        (records(0), rating(3, 5, 4), "GigService has 2 reviews with 9 stars (version 3), ReviewService 0 reviews"),
        (records(2, 5, 4), rating(2, 5, 4, is_shown=False), "its page or searches do not show the rating"),
        (records(2, 5, 4, counts=counts(2, 5, 5)), rating(2, 5, 5), "counted are 2 reviews with 10 stars, and there"),
        (records(2, 1, 5, counts=counts(2, 3, 3)), rating(2, 3, 3), "counted are 2 reviews with 6 stars, and there"),
    ],
)
def test_a_rating_that_will_not_become_right_by_itself_is_a_difference(
    mine: Records, theirs: GigServiceRating, text: str
) -> None:
    found = compare(mine, theirs, mine)

    assert found.is_rating_wrong
    assert len(found.texts) == 1
    assert found.texts[0].startswith(text)


def test_a_newer_rating_than_ever_is_a_difference_also_while_one_is_waiting() -> None:
    mine = records(2, 5, 4, is_waiting=True)

    assert compare(mine, rating(3, 5, 4), mine).is_rating_wrong


def test_a_parked_rating_is_a_difference_though_the_counts_are_right() -> None:
    mine = records(2, 5, 4, is_waiting=True, parked_row=17)

    found = compare(mine, rating(1, 5), mine)

    assert found.texts == ["its rating's outbox row 17 is parked"]
    assert not found.is_rating_wrong
