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
from review_service.domain.listing import Listing
from review_service.domain.review import Author, Order, Review, SubmittedReview
from review_service.domain.star_counts import StarCounts
from review_service.store.review_lists import PageKey
from review_service.store.reviews import RATINGS, REVIEWS
from review_service.store.store import Store
from servicekit.database import Database, Row, Statement
from servicekit.errors import Conflict, NotFound
from servicekit.idempotency import IdempotencyKeys, ResponseStore
from servicekit.ids import new_id
from tests.support.at_once import at_once

OUTBOX = Statement("SELECT topic, key, version, payload FROM outbox WHERE topic = $1 ORDER BY id")
GIG = new_id()
BUYER = Author(new_id(), "happy_buyer")
SELLER_ID = new_id()


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
                return Order(order_id, gig_id, BUYER.id, SELLER_ID, "DELIVERED")

        orders: Any = Orders()
        command = SubmitReview(
            self.store, orders, self._idempotency_keys, ResponseStore(self._idempotency_keys, to_submitted)
        )
        return command.execute(order_id or new_id(), BUYER, stars=stars, comment=comment)

    def page(
        self, gig_id: UUID = GIG, *, after: PageKey | None = None, limit: int = 100
    ) -> tuple[list[Review], StarCounts]:
        return self.store.review_lists.page(Listing(gig_id), after=after, limit=limit)


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


def test_a_reply_is_stored_with_its_time(reviews: Reviews) -> None:
    review = reviews.submit().review
    other = reviews.submit().review

    replied = reviews.store.reviews.reply(review.id, "Thank you!")

    assert replied == reviews.store.reviews.get(review.id)
    assert replied.reply is not None
    assert replied.reply.text == "Thank you!"
    assert replied.reply.at > replied.created_at
    assert reviews.store.reviews.get(other.id).reply is None
    assert [each.reply for each in reviews.page()[0]] == [None, replied.reply]


def test_of_twenty_replies_at_once_exactly_one_wins(reviews: Reviews, review_database: Database) -> None:
    review = reviews.submit().review
    texts = [f"reply {number}" for number in range(20)]

    outcomes = at_once([partial(reviews.store.reviews.reply, review.id, text) for text in texts], review_database)

    assert sorted(outcomes) == ["ALREADY_REPLIED"] * 19 + ["won"]
    reply = reviews.store.reviews.get(review.id).reply
    assert reply is not None
    assert reply.text == texts[outcomes.index("won")]


def test_an_unknown_review_is_not_found(reviews: Reviews) -> None:
    with pytest.raises(NotFound, match="Review not found"):
        reviews.store.reviews.get(new_id())
