"""Submitted reviews, the counts of their stars, and the outbox, in a real PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from review_service.commands.submit_review import SubmitReview
from review_service.convert import to_submitted
from review_service.domain.review import Author, Order, Review, SubmittedReview
from review_service.domain.star_counts import StarCounts
from review_service.store.reviews import RATINGS, REVIEWS, START, PageKey
from review_service.store.store import Store
from servicekit.database import Database, Row, Statement
from servicekit.errors import Conflict
from servicekit.idempotency import IdempotencyKeys, ResponseStore
from servicekit.ids import new_id
from tests.support.at_once import at_once

OUTBOX = Statement("SELECT topic, key, version, payload FROM outbox WHERE topic = $1 ORDER BY id")
GIG = new_id()
BUYER = Author(new_id(), "happy_buyer")


class Reviews:
    """A store, and the command that writes to it; every order is delivered, and the buyer's."""

    def __init__(self, database: Database) -> None:
        self.store = Store(database)
        self._idempotency_keys = IdempotencyKeys(database, timedelta(hours=48))

    def submit(
        self, order_id: UUID | None = None, *, gig_id: UUID = GIG, stars: int = 5, comment: str = "Good"
    ) -> SubmittedReview:
        class Orders:
            def describe(self, order_id: UUID) -> Order:
                return Order(order_id, gig_id, BUYER.id, "DELIVERED")

        orders: Any = Orders()
        command = SubmitReview(
            self.store, orders, self._idempotency_keys, ResponseStore(self._idempotency_keys, to_submitted)
        )
        return command.execute(order_id or new_id(), BUYER, stars=stars, comment=comment)

    def page(self, gig_id: UUID = GIG, *, after: PageKey = START, limit: int = 100) -> tuple[list[Review], StarCounts]:
        return self.store.reviews.page(gig_id, after=after, limit=limit)


@pytest.fixture
def reviews(review_database: Database) -> Reviews:
    return Reviews(review_database)


def outbox(database: Database, topic: str = RATINGS) -> list[Row]:
    return database.fetch_all(OUTBOX, topic)


def test_a_review_is_stored_as_it_was_written(reviews: Reviews) -> None:
    order_id = new_id()

    submitted = reviews.submit(order_id, stars=4, comment="Fine")

    (review,) = reviews.page()[0]
    assert (review.id, review.order_id, review.gig_id) == (submitted.review.id, order_id, GIG)
    assert (review.buyer_id, review.buyer_name) == (BUYER.id, "happy_buyer")
    assert (review.stars, review.comment) == (4, "Fine")


def test_the_answer_counts_the_review_in(reviews: Reviews) -> None:
    reviews.submit(stars=5)

    counts = reviews.submit(stars=4).counts

    assert counts == StarCounts(version=2, counts=(0, 0, 0, 1, 1))
    assert counts.mean == Decimal("4.5")


def test_gigs_are_counted_apart(reviews: Reviews) -> None:
    reviews.submit(stars=1)

    assert reviews.submit(gig_id=new_id(), stars=5).counts.counts == (0, 0, 0, 0, 1)


def test_a_row_of_the_outbox_has_the_rating_of_all_reviews(reviews: Reviews, review_database: Database) -> None:
    reviews.submit(stars=5)
    reviews.submit(stars=2)

    assert [tuple(row.values()) for row in outbox(review_database)] == [
        (RATINGS, str(GIG), 1, {"count": 1, "total": 5}),
        (RATINGS, str(GIG), 2, {"count": 2, "total": 7}),
    ]


def test_a_row_of_the_outbox_has_each_review(reviews: Reviews, review_database: Database) -> None:
    submitted = [reviews.submit(stars=5).review, reviews.submit(stars=2).review]

    rows = outbox(review_database, REVIEWS)
    assert [(row["key"], row["payload"]["stars"]) for row in rows] == [
        (str(submitted[0].id), 5),
        (str(submitted[1].id), 2),
    ]
    assert {row["payload"]["buyer_id"] for row in rows} == {str(each.buyer_id) for each in submitted}


def test_a_second_review_of_an_order_is_refused_and_leaves_nothing(reviews: Reviews, review_database: Database) -> None:
    first = reviews.submit().review

    with pytest.raises(Conflict) as refusal:
        reviews.submit(first.order_id, stars=1)

    assert refusal.value.code == "ALREADY_REVIEWED"
    assert [review.id for review in reviews.page()[0]] == [first.id]
    assert len(outbox(review_database)) == 1


def test_a_review_whose_rating_cannot_be_reported_is_not_stored(reviews: Reviews, review_database: Database) -> None:
    review_database.execute("ALTER TABLE outbox ADD CHECK (version < 2)")
    reviews.submit()

    with pytest.raises(psycopg2.IntegrityError):
        reviews.submit()

    stored, counts = reviews.page()
    assert len(stored) == counts.count == 1


def test_twenty_reviews_of_one_order_at_once_leave_one(reviews: Reviews, review_database: Database) -> None:
    order_id = new_id()

    outcomes = at_once(
        [partial(reviews.submit, order_id, stars=stars) for stars in (1, 2, 3, 4, 5) * 4], review_database
    )

    assert sorted(outcomes) == ["ALREADY_REVIEWED"] * 19 + ["won"]
    stored, counts = reviews.page()
    assert len(stored) == counts.count == counts.version == len(outbox(review_database)) == 1
    assert counts.total == stored[0].stars


def test_twenty_reviews_of_one_gig_at_once_are_counted_exactly(reviews: Reviews, review_database: Database) -> None:
    outcomes = at_once([partial(reviews.submit, stars=stars) for stars in (1, 2, 3, 4, 5) * 4], review_database)

    assert outcomes == ["won"] * 20
    assert reviews.page()[1] == StarCounts(version=20, counts=(4, 4, 4, 4, 4))
    reports = outbox(review_database)
    assert [row["version"] for row in reports] == list(range(1, 21))
    assert [row["payload"]["count"] for row in reports] == list(range(1, 21))
    assert reports[-1]["payload"] == {"count": 20, "total": 60}


def test_a_list_is_newest_first_and_counts_all_of_them(reviews: Reviews) -> None:
    submitted = [reviews.submit(stars=stars).review for stars in (5, 3, 5)]

    page, counts = reviews.page(limit=2)

    assert [review.id for review in page] == [submitted[2].id, submitted[1].id]
    assert counts.histogram == {1: 0, 2: 0, 3: 1, 4: 0, 5: 2}


def test_a_gig_without_reviews_has_an_empty_list(reviews: Reviews) -> None:
    assert reviews.page(new_id()) == ([], StarCounts())


def test_the_page_after_the_last_still_has_the_counts(reviews: Reviews) -> None:
    reviews.submit()
    (last,) = reviews.page()[0]

    page, counts = reviews.page(after=PageKey(last.created_at, last.id))

    assert (page, counts.count) == ([], 1)


def test_pages_neither_skip_nor_repeat_while_reviews_come_in(reviews: Reviews, review_database: Database) -> None:
    before = [reviews.submit().review for _ in range(7)]
    review_database.execute("UPDATE reviews SET created_at = (SELECT min(created_at) FROM reviews)")
    seen: list[UUID] = []

    after = START
    while page := reviews.page(after=after, limit=2)[0]:
        seen += [review.id for review in page]
        after = PageKey(page[-1].created_at, page[-1].id)
        reviews.submit()

    assert seen == sorted((review.id for review in before), reverse=True)
