"""Reviews and the counts of their stars in PostgreSQL: the models, and every statement."""

from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import peewee

from review_service.domain.review import NewReview, Review
from review_service.domain.star_counts import StarCounts
from servicekit.clock import Clock
from servicekit.database import Database, Row, Statement
from servicekit.errors import Conflict
from servicekit.outbox import Outbox

# The outbox's topic of gigs' ratings. The key is the gig's id; the payload is {"count", "total"}, of all its reviews.
RATINGS = "gig-rating"
# The outbox's topic of reviews, for sellers' badges. The key is the review's id; the payload is {"gig_id", "buyer_id",
# "stars", "created_at"}. A trigger of migration 0006 writes the rows, also for a worker of an older version.
REVIEWS = "seller-review"


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


# By name, not `*`: a column that a newer version adds would break the prepared statement.
COLUMNS = ", ".join(field.name for field in fields(Review))
# Locks the gig's row, so that concurrent reviews of one gig are counted one after the other.
COUNT = Statement("""
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
# A page of at most $4 reviews older than ($2, $3): a row for each, with the gig's counts in every row. A page without
# reviews is one row with the counts alone. One statement, so that counts and reviews are of the same snapshot.
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
    """The end of a page: the time of its last review (aware), and that review's id."""

    created_at: datetime
    id: UUID


# Newer than every review.
START = PageKey(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class Reviews:
    """Reviews, and the counts of each gig's stars."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox

    def add(self, review: NewReview) -> None:
        """Store a review. Waits for a concurrent transaction that stores one of the same order.

        Raises Conflict (ALREADY_REVIEWED) when the order has a review.
        """
        row = {**asdict(review), "created_at": self._clock.now()}
        insert = ReviewRow.insert(row).on_conflict(conflict_target=[ReviewRow.order_id], action="IGNORE")
        if not insert.returning(ReviewRow.id).execute(self._database.peewee):
            raise Conflict("You have already reviewed this order", "ALREADY_REVIEWED")

    def count(self, gig_id: UUID, stars: int) -> StarCounts:
        """Count one more review of the gig, and return the new counts.

        The gig's counts stay locked until the end of the transaction.
        """
        row = self._database.fetch_one(COUNT, gig_id, stars)
        assert row is not None
        return _to_counts(row)

    def report_rating(self, gig_id: UUID, counts: StarCounts) -> None:
        """Write the gig's rating to the outbox, in the transaction that has counted."""
        payload = {"count": counts.count, "total": counts.total}
        self._outbox.add(RATINGS, str(gig_id), counts.version, payload)

    def page(self, gig_id: UUID, *, after: PageKey, limit: int) -> tuple[list[Review], StarCounts]:
        """Return the newest `limit` reviews of a gig that are older than `after`, and the counts of all its reviews."""
        rows = self._database.fetch_all(PAGE, gig_id, *after, limit)
        if not rows:
            return [], StarCounts()
        return [_to_review(row) for row in rows if row["id"]], _to_counts(rows[0])


def _to_review(row: Row) -> Review:
    return Review(**{field.name: row[field.name] for field in fields(Review)})


def _to_counts(row: Row) -> StarCounts:
    return StarCounts(row["version"], (row["stars_1"], row["stars_2"], row["stars_3"], row["stars_4"], row["stars_5"]))
