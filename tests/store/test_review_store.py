"""Reviews, what they come to, and what GigService will be told, in a real PostgreSQL."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from uuid import UUID

import psycopg2
import pytest

from review_service.domain.review import Draft, Review
from review_service.domain.tally import Tally
from review_service.store import RATINGS, START, PageKey, Store
from servicekit.database import Database, Row, Statement
from servicekit.errors import Conflict
from servicekit.ids import new_id
from servicekit.outbox import Outbox
from tests.support.at_once import at_once

OUTBOX = Statement("SELECT topic, key, version, payload FROM outbox ORDER BY id")
GIG = new_id()


@pytest.fixture
def store(review_database: Database) -> Store:
    return Store(review_database, Outbox(review_database))


def a_draft(order_id: UUID | None = None, *, gig_id: UUID = GIG, stars: int = 5, comment: str = "Good") -> Draft:
    return Draft(new_id(), order_id or new_id(), gig_id, new_id(), "happy_buyer", stars, comment)


def outbox(database: Database) -> list[Row]:
    return database.fetch_all(OUTBOX)


def reviews(store: Store, gig_id: UUID = GIG) -> list[Review]:
    return store.page(gig_id, after=START, limit=100)[0]


def test_a_review_is_stored_as_it_was_written(store: Store) -> None:
    draft = a_draft(stars=4, comment="Fine")

    store.submit(draft)

    (review,) = reviews(store)
    assert (review.id, review.order_id, review.gig_id) == (draft.id, draft.order_id, GIG)
    assert (review.buyer_id, review.buyer_name) == (draft.buyer_id, "happy_buyer")
    assert (review.stars, review.comment) == (4, "Fine")


def test_the_answer_counts_the_review_in(store: Store) -> None:
    store.submit(a_draft(stars=5))

    tally = store.submit(a_draft(stars=4))

    assert tally == Tally(version=2, counts=(0, 0, 0, 1, 1))
    assert tally.mean == Decimal("4.5")


def test_gigs_are_counted_apart(store: Store) -> None:
    store.submit(a_draft(stars=1))

    assert store.submit(a_draft(gig_id=new_id(), stars=5)).counts == (0, 0, 0, 0, 1)


def test_a_row_of_the_outbox_tells_what_the_reviews_come_to(store: Store, review_database: Database) -> None:
    store.submit(a_draft(stars=5))
    store.submit(a_draft(stars=2))

    assert [tuple(row.values()) for row in outbox(review_database)] == [
        (RATINGS, str(GIG), 1, {"count": 1, "total": 5}),
        (RATINGS, str(GIG), 2, {"count": 2, "total": 7}),
    ]


def test_a_second_review_of_an_order_is_refused_and_leaves_nothing(store: Store, review_database: Database) -> None:
    first = a_draft()
    store.submit(first)

    with pytest.raises(Conflict) as refusal:
        store.submit(a_draft(first.order_id, stars=1))

    assert refusal.value.code == "ALREADY_REVIEWED"
    assert [review.id for review in reviews(store)] == [first.id]
    assert len(outbox(review_database)) == 1


def test_a_review_that_cannot_be_told_is_not_stored(store: Store, review_database: Database) -> None:
    review_database.execute("ALTER TABLE outbox ADD CHECK (version < 2)")
    store.submit(a_draft())

    with pytest.raises(psycopg2.IntegrityError):
        store.submit(a_draft())

    assert len(reviews(store)) == 1
    assert store.page(GIG, after=START, limit=1)[1].count == 1


def test_twenty_reviews_of_one_order_at_once_leave_one(store: Store, review_database: Database) -> None:
    order_id = new_id()

    outcomes = at_once(
        [partial(store.submit, a_draft(order_id, stars=stars)) for stars in (1, 2, 3, 4, 5) * 4], review_database
    )

    assert sorted(outcomes) == ["ALREADY_REVIEWED"] * 19 + ["won"]
    found, tally = store.page(GIG, after=START, limit=100)
    assert len(found) == tally.count == tally.version == len(outbox(review_database)) == 1
    assert tally.total == found[0].stars


def test_twenty_reviews_of_one_gig_at_once_are_counted_exactly(store: Store, review_database: Database) -> None:
    outcomes = at_once([partial(store.submit, a_draft(stars=stars)) for stars in (1, 2, 3, 4, 5) * 4], review_database)

    assert outcomes == ["won"] * 20
    assert store.page(GIG, after=START, limit=1)[1] == Tally(version=20, counts=(4, 4, 4, 4, 4))
    told = outbox(review_database)
    assert [row["version"] for row in told] == list(range(1, 21))
    assert [row["payload"]["count"] for row in told] == list(range(1, 21))
    assert told[-1]["payload"] == {"count": 20, "total": 60}


def test_a_list_is_newest_first_and_counts_all_of_them(store: Store) -> None:
    drafts = [a_draft(stars=stars) for stars in (5, 3, 5)]
    for draft in drafts:
        store.submit(draft)

    found, tally = store.page(GIG, after=START, limit=2)

    assert [review.id for review in found] == [drafts[2].id, drafts[1].id]
    assert tally.histogram == {1: 0, 2: 0, 3: 1, 4: 0, 5: 2}


def test_a_gig_without_reviews_has_an_empty_list(store: Store) -> None:
    assert store.page(new_id(), after=START, limit=20) == ([], Tally())


def test_the_page_after_the_last_still_knows_the_counts(store: Store) -> None:
    store.submit(a_draft())
    last = reviews(store)[-1]

    found, tally = store.page(GIG, after=PageKey(last.created_at, last.id), limit=20)

    assert (found, tally.count) == ([], 1)


def test_pages_neither_skip_nor_repeat_while_reviews_come_in(store: Store, review_database: Database) -> None:
    before = [a_draft() for _ in range(7)]
    for draft in before:
        store.submit(draft)
    review_database.execute("UPDATE reviews SET created_at = (SELECT min(created_at) FROM reviews)")
    seen: list[UUID] = []

    after = START
    while page := store.page(GIG, after=after, limit=2)[0]:
        seen += [review.id for review in page]
        after = PageKey(page[-1].created_at, page[-1].id)
        store.submit(a_draft())

    assert seen == sorted((draft.id for draft in before), reverse=True)
