"""Reviews and what they come to in PostgreSQL: the models, and every statement."""

from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import peewee

from review_service.domain.review import Draft, Review
from review_service.domain.tally import Tally
from servicekit.clock import Clock
from servicekit.database import Database, Row, Statement
from servicekit.errors import Conflict
from servicekit.outbox import Outbox

# The outbox's topic for what a gig's reviews come to; its key is the gig's id, its payload {"count", "total"}.
RATINGS = "gig-rating"


class ReviewRow(peewee.Model):
    """A row of `reviews`; its columns are the fields of domain.review.Review."""

    id = peewee.UUIDField(primary_key=True)
    order_id = peewee.UUIDField(unique=True)
    gig_id = peewee.UUIDField()
    buyer_id = peewee.UUIDField()
    buyer_name = peewee.TextField()
    stars = peewee.SmallIntegerField()
    comment = peewee.TextField()
    created_at = peewee.DateTimeField()

    class Meta:
        table_name = "reviews"


# By name, not `*`: a prepared statement must not notice a column that a newer version adds.
COLUMNS = ", ".join(field.name for field in fields(Review))
# Takes the lock of the gig's row, so that reviews of one gig count one after the other.
COUNT_IN = Statement("""
    INSERT INTO gig_ratings AS known (gig_id, version, stars_1, stars_2, stars_3, stars_4, stars_5)
    VALUES ($1, 1, ($2 = 1)::integer, ($2 = 2)::integer, ($2 = 3)::integer, ($2 = 4)::integer, ($2 = 5)::integer)
    ON CONFLICT (gig_id) DO UPDATE SET
        version = known.version + 1,
        stars_1 = known.stars_1 + excluded.stars_1,
        stars_2 = known.stars_2 + excluded.stars_2,
        stars_3 = known.stars_3 + excluded.stars_3,
        stars_4 = known.stars_4 + excluded.stars_4,
        stars_5 = known.stars_5 + excluded.stars_5
    RETURNING version, stars_1, stars_2, stars_3, stars_4, stars_5
""")
# The counts, and beside them a page of reviews older than the one at ($2, $3), $4 at most. One row a review; a gig
# without any on this page still has its row of counts. Both come from one snapshot, so they agree.
PAGE = Statement(f"""
    SELECT page.*, version, stars_1, stars_2, stars_3, stars_4, stars_5
    FROM gig_ratings LEFT JOIN (
        SELECT {COLUMNS} FROM reviews
        WHERE gig_id = $1::uuid AND (created_at, id) < ($2::timestamptz, $3::uuid)
        ORDER BY created_at DESC, id DESC LIMIT $4::integer
    ) AS page ON true
    WHERE gig_ratings.gig_id = $1::uuid
    ORDER BY page.created_at DESC, page.id DESC
""")  # noqa: S608  # our own column names


class PageKey(NamedTuple):
    """Where a page ended: when its last review was submitted (aware), and that review's id."""

    created_at: datetime
    id: UUID


# Newer than every review.
START = PageKey(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class Store:
    """ReviewService's database."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._clock = Clock(database)
        self._outbox = outbox

    def submit(self, draft: Draft) -> Tally:
        """Stores a review, counts it in, and has GigService told; what the gig's reviews come to with it.

        Raises Conflict (ALREADY_REVIEWED) when the order has a review, also when that is just being written.
        """
        with self._database.transaction():
            row = {**asdict(draft), "created_at": self._clock.now()}
            insert = ReviewRow.insert(row).on_conflict(conflict_target=[ReviewRow.order_id], action="IGNORE")
            if not insert.returning(ReviewRow.id).execute(self._database.peewee):
                raise Conflict("You have already reviewed this order", "ALREADY_REVIEWED")
            counted = self._database.fetch_one(COUNT_IN, draft.gig_id, draft.stars)
            assert counted is not None
            tally = _to_tally(counted)
            payload = {"count": tally.count, "total": tally.total}
            self._outbox.add(RATINGS, str(draft.gig_id), tally.version, payload)
        return tally

    def page(self, gig_id: UUID, *, after: PageKey, limit: int) -> tuple[list[Review], Tally]:
        """The newest `limit` reviews of a gig that are older than `after`, and what all of them come to."""
        rows = self._database.fetch_all(PAGE, gig_id, *after, limit)
        if not rows:
            return [], Tally()
        return [_to_review(row) for row in rows if row["id"]], _to_tally(rows[0])


def _to_review(row: Row) -> Review:
    return Review(**{field.name: row[field.name] for field in fields(Review)})


def _to_tally(row: Row) -> Tally:
    return Tally(row["version"], (row["stars_1"], row["stars_2"], row["stars_3"], row["stars_4"], row["stars_5"]))
