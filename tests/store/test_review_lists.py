"""Lists of reviews in a real PostgreSQL: the filter, the orders, the pages and their plans."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import Any
from uuid import UUID

import pytest

from review_service.domain.listing import Listing, Sort
from review_service.domain.review import Review
from review_service.domain.star_counts import STARS, StarCounts
from review_service.store.review_lists import LATEST, PageKey, choose
from review_service.store.store import Store
from servicekit.database import Database, Statement
from servicekit.ids import new_id

GIG, OTHER = new_id(), new_id()
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
LISTINGS = [Listing(GIG, stars, sort) for stars, sort in product((None, *STARS), Sort)]
ADD = Statement("""
    INSERT INTO reviews (id, order_id, gig_id, buyer_id, buyer_name, stars, comment, created_at)
    VALUES ($1, gen_random_uuid(), $2, gen_random_uuid(), 'ann', $3, '', $4)
""")
# Few of them have one star.
MANY = """
    INSERT INTO reviews (id, order_id, gig_id, buyer_id, buyer_name, stars, comment, created_at)
    SELECT gen_random_uuid(), gen_random_uuid(), %(gig)s, gen_random_uuid(), 'ann',
        CASE WHEN number %% 2000 = 0 THEN 1 ELSE 2 + number %% 4 END, 'Good',
        '2026-11-01Z'::timestamptz + number * interval '1 second'
    FROM generate_series(1, 100000) AS number
"""
FEW_EACH = """
    INSERT INTO reviews (id, order_id, gig_id, buyer_id, buyer_name, stars, comment, created_at)
    SELECT gen_random_uuid(), gen_random_uuid(), md5((number / 3)::text)::uuid, gen_random_uuid(), 'ann',
        1 + number %% 5, 'Good', '2026-11-01Z'::timestamptz + number * interval '1 second'
    FROM generate_series(1, 60000) AS number
"""


class Lists:
    """The lists, and the reviews in them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.store = Store(database)

    def add(self, stars: int, at: datetime = NOON, gig_id: UUID = GIG) -> UUID:
        """Store a review, and count it. Return its id."""
        review_id = new_id()
        with self._database.transaction():
            self._database.fetch_all(ADD, review_id, gig_id, stars, at)
            self.store.reviews.count(gig_id, stars)
        return review_id

    def page(self, listing: Listing, after: PageKey | None = None, limit: int = 100) -> tuple[list[Review], StarCounts]:
        return self.store.review_lists.page(listing, after=after, limit=limit)


@pytest.fixture
def lists(review_database: Database) -> Lists:
    return Lists(review_database)


def key_of(review: Review) -> PageKey:
    return PageKey(review.stars, review.created_at, review.id)


def expected_order(reviews: list[Review], listing: Listing) -> list[Review]:
    """Return the reviews of a list, sorted in Python: by stars where asked, then the newest first."""
    rank = {Sort.NEWEST: 0, Sort.RATING: -1, Sort.RATING_DESCENDING: 1}[listing.sort]
    of_list = [review for review in reviews if listing.stars in (None, review.stars)]
    return sorted(of_list, key=lambda review: (rank * review.stars, review.created_at, review.id), reverse=True)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_every_filter_and_order_lists_exactly_the_reviews_that_meet_it_on_all_its_pages(
    lists: Lists, size: int
) -> None:
    chance = Random(7)
    for _ in range(60):
        # Several of one moment: their ids put them in order.
        lists.add(chance.randint(1, 5), NOON + timedelta(seconds=chance.randint(0, 9)))
        lists.add(chance.randint(1, 5), gig_id=OTHER)
    everything, counts = lists.page(Listing(GIG))
    assert len(everything) == counts.count == 60

    for listing in LISTINGS:
        seen: list[Review] = []
        after = None
        while page := lists.page(listing, after, size)[0]:
            assert len(page) <= size
            seen += page
            after = key_of(page[-1])

        assert seen == expected_order(everything, listing), listing
        assert len(seen) == counts.of(listing.stars), listing


@pytest.mark.parametrize("listing", LISTINGS)
def test_pages_neither_skip_nor_repeat_while_reviews_come_in(lists: Lists, listing: Listing) -> None:
    for number in range(15):
        lists.add(1 + number % 5)
    before = expected_order(lists.page(Listing(GIG))[0], listing)
    seen: list[UUID] = []

    after = None
    while page := lists.page(listing, after, 2)[0]:
        seen += [review.id for review in page]
        after = key_of(page[-1])
        for stars in STARS:
            lists.add(stars, NOON + timedelta(seconds=1))

    # The later reviews with as many stars come before the page's begin, and others may be on pages still to come.
    known = {review.id for review in before}
    assert [review_id for review_id in seen if review_id in known] == [review.id for review in before]
    assert len(seen) == len(set(seen))


def test_the_counts_are_of_all_the_gigs_reviews_whatever_the_filter(lists: Lists) -> None:
    for stars in (5, 3, 5):
        lists.add(stars)

    for listing in LISTINGS:
        page, counts = lists.page(listing, limit=1)
        assert counts.histogram == {1: 0, 2: 0, 3: 1, 4: 0, 5: 2}
        assert bool(page) is (listing.stars in (None, 3, 5))


def test_a_gig_without_reviews_has_empty_lists(lists: Lists) -> None:
    for listing in LISTINGS:
        assert lists.page(listing) == ([], StarCounts())


def test_the_page_after_the_last_still_has_the_counts(lists: Lists) -> None:
    lists.add(4)
    (last,) = lists.page(Listing(GIG))[0]

    for listing in LISTINGS:
        page, counts = lists.page(listing, key_of(last))
        assert ([] if listing.stars in (None, 4) else page, counts.count) == ([], 1)


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("plans", ["force_generic_plan", "force_custom_plan"])
def test_no_list_of_a_hundred_thousand_reviews_reads_more_than_its_page(
    lists: Lists, review_database: Database, plans: str, analyzed: bool
) -> None:
    review_database.execute("SET statement_timeout = 0; ALTER TABLE reviews DISABLE TRIGGER reviews_added")
    review_database.execute(MANY, {"gig": GIG})
    # Of an average gig a plan may read and sort everything.
    review_database.execute(FEW_EACH, {})
    lists.store.reviews.count(GIG, 5)
    if analyzed:
        review_database.execute("ANALYZE reviews")
    review_database.execute(f"SET plan_cache_mode = {plans}")
    # In the middle of the list.
    middle = PageKey(3, datetime(2026, 11, 1, 14, tzinfo=UTC), UUID(int=0))

    for listing, after in product(LISTINGS, (None, middle)):
        assert len(lists.page(listing, after, 21)[0]) == 21
        statement, more = choose(listing, after)
        arguments = (GIG, 21, *((after.created_at, after.id) if after else LATEST), *more)
        with review_database.peewee.connection().cursor() as cursor:
            cursor.execute(
                f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {statement.name} ({', '.join(['%s'] * len(arguments))})",
                arguments,
            )
            (plan,) = cursor.fetchone()[0]

        read = max(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in nodes(plan["Plan"]))
        assert read <= 21, (listing, after, plan)


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of a plan."""
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]
