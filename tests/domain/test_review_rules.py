"""The rules of reviews: who may write one, who may read a gig's, and the rating that they add up to."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_service.domain.review import Author, Gig, Order, check_readable, check_replier, draft_review
from review_service.domain.star_counts import StarCounts
from servicekit.errors import Conflict, Forbidden, NotFound
from servicekit.ids import new_id
from servicekit.rating import mean_rating

BUYER = Author(new_id(), "happy_buyer")
SELLER_ID = new_id()
STATUSES = ("PENDING", "IN_PROGRESS", "DELIVERED", "COMPLETED", "CANCELLED", "DISPUTED")


def an_order(*, status: str = "DELIVERED") -> Order:
    return Order(new_id(), new_id(), BUYER.id, SELLER_ID, status)


@pytest.mark.parametrize("status", STATUSES)
def test_an_order_can_be_reviewed_once_its_buyer_has_the_work(status: str) -> None:
    order = an_order(status=status)

    if status in ("DELIVERED", "COMPLETED"):
        review = draft_review(new_id(), order, BUYER, stars=5, comment="Excellent")
        assert (review.order_id, review.gig_id) == (order.id, order.gig_id)
        assert (review.buyer_id, review.buyer_name) == (BUYER.id, BUYER.name)
        assert (review.stars, review.comment) == (5, "Excellent")
    else:
        with pytest.raises(Conflict) as refusal:
            draft_review(new_id(), order, BUYER, stars=5, comment="")
        assert refusal.value.code == "ORDER_NOT_DELIVERED"


@pytest.mark.parametrize("status", STATUSES)
def test_nobody_but_the_buyer_reviews_an_order_whatever_its_state(status: str) -> None:
    with pytest.raises(Forbidden, match="You don't have permission to review this order"):
        draft_review(new_id(), an_order(status=status), Author(new_id(), "somebody"), stars=1, comment="")


def test_nobody_but_the_orders_seller_replies_to_its_review() -> None:
    order = an_order()

    check_replier(order, SELLER_ID)
    for other in (BUYER.id, new_id()):
        with pytest.raises(Forbidden, match="You don't have permission to reply to this review"):
            check_replier(order, other)


def test_the_reviews_of_an_active_gig_are_for_everyone() -> None:
    check_readable(a_gig(is_active=True), None, is_admin=False)
    check_readable(a_gig(is_active=True), new_id(), is_admin=False)


def test_the_reviews_of_any_other_gig_are_for_its_owner_and_admins() -> None:
    gig = a_gig(is_active=False)

    check_readable(gig, gig.seller_id, is_admin=False)
    check_readable(gig, new_id(), is_admin=True)
    for reader in (None, new_id()):
        with pytest.raises(NotFound, match="Gig not found"):
            check_readable(gig, reader, is_admin=False)


def test_star_counts_include_stars_that_nobody_gave() -> None:
    counts = StarCounts(version=3, counts=(1, 0, 0, 0, 2))

    assert (counts.count, counts.total, counts.mean) == (3, 11, Decimal("3.7"))
    assert counts.histogram == {1: 1, 2: 0, 3: 0, 4: 0, 5: 2}
    assert [counts.of(stars) for stars in (None, 1, 2, 5)] == [3, 1, 0, 2]


def test_without_reviews_all_counts_are_zero() -> None:
    assert (StarCounts().count, StarCounts().mean) == (0, Decimal(0))
    assert StarCounts().histogram == {1: 0, 2: 0, 3: 0, 4: 0, 5: 0}


def test_a_half_is_rounded_up() -> None:
    assert mean_rating(4, 17) == Decimal("4.3")
    assert mean_rating(20, 89) == Decimal("4.5")


@given(st.lists(st.integers(1, 5), min_size=1, max_size=300))
def test_the_mean_is_exact_and_rounded_half_up_to_one_decimal(ratings: list[int]) -> None:
    exact = Fraction(sum(ratings), len(ratings))

    mean = mean_rating(len(ratings), sum(ratings))

    assert mean.as_tuple().exponent == -1
    assert -Fraction(1, 20) <= exact - Fraction(mean) < Fraction(1, 20)


@given(st.integers(1, 5), st.integers(1, 10**9))
def test_the_mean_of_equal_ratings_is_that_rating(stars: int, count: int) -> None:
    assert mean_rating(count, count * stars) == stars


@given(st.integers(1, 10**6), st.data())
def test_the_mean_agrees_with_decimal_arithmetic(count: int, data: st.DataObject) -> None:
    total = data.draw(st.integers(count, 5 * count))

    assert mean_rating(count, total) == (Decimal(total) / count).quantize(Decimal("0.1"), ROUND_HALF_UP)


def a_gig(*, is_active: bool) -> Gig:
    return Gig(new_id(), new_id(), is_active=is_active)
