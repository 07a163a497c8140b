"""Ratings, badges, and which of ReviewService's ratings is the newest."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gig_service.domain.rating import BuyerReview, GigRating, RatingTotals, badges, count_review

STARS = st.lists(st.integers(1, 5), min_size=1, max_size=60)


def totals(*stars: int) -> RatingTotals:
    return RatingTotals(len(stars), sum(stars))


@pytest.mark.parametrize(
    ("count", "total", "shown"),
    [(0, 0, "0.0"), (1, 5, "5.0"), (4, 17, "4.3"), (3, 13, "4.3"), (3, 14, "4.7"), (20, 89, "4.5"), (20, 87, "4.4")],
)
def test_a_rating_is_the_exact_mean_rounded_half_up(count: int, total: int, shown: str) -> None:
    assert RatingTotals(count, total).rating == Decimal(shown)


@given(STARS)
def test_a_rating_agrees_with_exact_decimal_arithmetic(stars: Any) -> None:
    exact = Fraction(sum(stars), len(stars)) * 10
    expected = Decimal(int(exact + Fraction(1, 2))) / 10

    assert totals(*stars).rating == expected.quantize(Decimal("0.1"), ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("stars", "earned"),
    [
        ((), []),
        ((5, 5), []),
        ((5, 5, 5), ["Rising Talent"]),
        ((4, 5), []),
        ((4, 4, 5, 5), ["Rising Talent"]),
        ((4, 4, 5), []),
        ((5,) * 9, ["Rising Talent"]),
        ((5,) * 10, ["Top Seller"]),
        ((5,) * 8 + (4, 4), ["Top Seller"]),
        ((5,) * 7 + (4, 4, 4), []),
        ((5,) * 799 + (4,) * 201, []),
        ((5,) * 800 + (4,) * 200, ["Top Seller"]),
    ],
)
def test_badges_are_earned_by_number_and_exact_mean(stars: Any, earned: list[str]) -> None:
    assert badges(totals(*stars)) == earned


@given(STARS)
def test_badges_agree_with_exact_fractions_and_never_come_together(stars: Any) -> None:
    mean = Fraction(sum(stars), len(stars))
    top = len(stars) >= 10 and mean >= Fraction(48, 10)
    rising = 3 <= len(stars) <= 9 and mean >= Fraction(45, 10)

    assert badges(totals(*stars)) == ["Top Seller"] * top + ["Rising Talent"] * rising


@given(STARS, STARS)
def test_sums_can_be_taken_apart_again(left: Any, right: Any) -> None:
    assert (totals(*left) + totals(*right)) - totals(*right) == totals(*left)


@pytest.mark.parametrize(("stored", "received", "is_newer"), [(0, 1, True), (1, 1, False), (5, 4, False), (5, 9, True)])
def test_only_a_newer_rating_counts(stored: int, received: int, is_newer: bool) -> None:
    assert GigRating(received, totals(5, 4)).is_newer_than(GigRating(stored, totals(5))) is is_newer


def a_review(second: int, stars: int, number: int = 0) -> BuyerReview:
    """Return a buyer's review of this second; `number` is its id."""
    return BuyerReview(UUID(int=number), UUID(int=99), datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC), stars)


@pytest.mark.parametrize(
    ("stored", "review", "counted"),
    [
        (None, a_review(1, 5), totals(4, 5)),
        (a_review(1, 4), a_review(2, 5), totals(5)),
        (a_review(2, 4), a_review(1, 5), None),
        (a_review(1, 4), a_review(1, 4), None),
        (a_review(1, 4, number=1), a_review(1, 5, number=2), totals(5)),
        (a_review(1, 4, number=2), a_review(1, 5, number=1), None),
    ],
)
def test_of_a_buyers_reviews_only_the_newest_counts(
    stored: BuyerReview | None, review: BuyerReview, counted: RatingTotals | None
) -> None:
    assert count_review(totals(4), stored, review) == counted
