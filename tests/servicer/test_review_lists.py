"""ListReviews with its filter and its orders, in its pipeline, with a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from servicekit import paging
from servicekit.database import Database
from tests.support.reviewservice import World, a_world

STARS = (5, 1, 4, 5, 3, 1, 5)


@pytest.fixture
def world(review_database: Database) -> Iterator[World]:
    with a_world(review_database) as world:
        yield world


def submit_all(world: World) -> list[tuple[int, str]]:
    """Submit a review for each of STARS. Return their stars and ids, the newest first."""
    submitted = [(stars, world.submit(world.order(), rating=stars).response.review_id) for stars in STARS]
    return submitted[::-1]


@pytest.mark.parametrize("page_size", [0, 1, 3])
def test_every_filter_and_order_is_listed_page_by_page(world: World, page_size: int) -> None:
    newest_first = submit_all(world)

    for stars, sort in product((None, 1, 2, 3, 4, 5), ("", "newest", "rating", "-rating")):
        listing: dict[str, Any] = {"sort": sort} if stars is None else {"sort": sort, "rating": stars}
        of_list = [review for review in newest_first if stars in (None, review[0])]
        sign = {"rating": 1, "-rating": -1}.get(sort, 0)
        expected = sorted(of_list, key=lambda review: sign * review[0])

        assert world.every_page(page_size=page_size, **listing) == [review_id for _, review_id in expected], listing


def test_the_total_is_that_of_the_filter_and_the_rest_that_of_all_reviews(world: World) -> None:
    submit_all(world)

    for stars, total in ((None, 7), (1, 2), (2, 0), (3, 1), (5, 3)):
        listed = world.page(page_size=1, rating=stars).response
        assert listed.total == total
        assert listed.average_rating == 3.4
        assert dict(listed.histogram) == {1: 2, 2: 0, 3: 1, 4: 1, 5: 3}


@pytest.mark.parametrize("changed", [{"rating": 1}, {"sort": "-rating"}, {"sort": "newest"}, {"rating": None}])
def test_a_page_token_goes_with_its_filter_and_its_order(world: World, changed: dict[str, Any]) -> None:
    submit_all(world)
    listing: dict[str, Any] = {"rating": 5, "sort": "rating", "page_size": 1}
    page_token = world.page(**listing).response.next_page_token

    answer = world.page(page_token=page_token, **{**listing, **changed})

    assert answer.http_status == 400
    assert [detail["field"] for detail in answer.body["details"]] == ["pageToken"]
    assert world.page(page_token=page_token, **{**listing, "page_size": 2}).error == ""


@pytest.mark.parametrize("stars", ["0", "6", "-1", "32768", "1.5", "", "x", "\u0665"])
def test_a_forged_page_token_with_other_stars_is_refused(world: World, stars: str) -> None:
    submit_all(world)
    request = world.listing(sort="rating", page_size=1)
    review = world.page(sort="rating", page_size=1).response.results[0]
    at = review.created_at.ToDatetime().isoformat(sep=" ") + "+00:00"
    assert world.page(sort="rating", page_token=paging.encode(request, ("1", at, review.id))).error == ""

    answer = world.page(sort="rating", page_token=paging.encode(request, (stars, at, review.id)))

    assert [detail["field"] for detail in answer.body["details"]] == ["pageToken"]


@pytest.mark.parametrize(
    ("listing", "field"),
    [({"rating": 0}, "rating"), ({"rating": 6}, "rating"), ({"sort": "oldest"}, "sort"), ({"sort": "RATING"}, "sort")],
)
def test_an_unknown_filter_or_order_is_refused(world: World, listing: dict[str, Any], field: str) -> None:
    answer = world.page(**listing)

    assert answer.http_status == 400
    assert [detail["field"] for detail in answer.body["details"]] == [field]
