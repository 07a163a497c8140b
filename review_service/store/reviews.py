"""Reviews, their replies and the counts of their stars in PostgreSQL. Their lists are in review_lists.py."""

from dataclasses import asdict
from uuid import UUID

import peewee

from review_service.domain.rating_differences import SentReview
from review_service.domain.review import NewReview, Reply, Review
from review_service.domain.star_counts import STARS, StarCounts
from servicekit.clock import Clock
from servicekit.database import Database, Row, Statement
from servicekit.errors import Conflict, NotFound
from servicekit.outbox import Outbox

# The outbox's topic of gigs' ratings. The key is the gig's id; the payload is {"count", "total"}, of all its reviews.
RATINGS = "gig-rating"
# The outbox's topic of reviews, for sellers' badges. The key is the review's id; the payload is {"gig_id", "buyer_id",
# "stars", "created_at"}. A trigger of migration 0006 writes the rows, also for a worker of an older version.
REVIEWS = "seller-review"


class ReviewRow(peewee.Model):
    """A new row of `reviews`; a reply comes later."""

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
COLUMNS = "id, order_id, gig_id, buyer_id, buyer_name, stars, comment, created_at, reply, replied_at"
GET = Statement(f"SELECT {COLUMNS} FROM reviews WHERE id = $1")
REPLY = Statement(f"""
    UPDATE reviews SET reply = $2, replied_at = app_now() WHERE id = $1 AND reply IS NULL RETURNING {COLUMNS}
""")
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
# Locks the gig's row, which may be a new one, like COUNT.
LOCK_COUNTS = Statement("""
    INSERT INTO gig_ratings AS known (gig_id, version, stars_1, stars_2, stars_3, stars_4, stars_5)
    VALUES ($1, 1, 0, 0, 0, 0, 0) ON CONFLICT (gig_id) DO UPDATE SET version = known.version
""")
RECOUNT = Statement("""
    UPDATE gig_ratings SET version = greatest(version, $2) + 1, stars_1 = counted.stars_1, stars_2 = counted.stars_2,
        stars_3 = counted.stars_3, stars_4 = counted.stars_4, stars_5 = counted.stars_5
    FROM (
        SELECT count(*) FILTER (WHERE stars = 1) AS stars_1, count(*) FILTER (WHERE stars = 2) AS stars_2,
            count(*) FILTER (WHERE stars = 3) AS stars_3, count(*) FILTER (WHERE stars = 4) AS stars_4,
            count(*) FILTER (WHERE stars = 5) AS stars_5
        FROM reviews WHERE gig_id = $1
    ) AS counted
    WHERE gig_ratings.gig_id = $1
    RETURNING version, gig_ratings.stars_1, gig_ratings.stars_2, gig_ratings.stars_3, gig_ratings.stars_4,
        gig_ratings.stars_5
""")


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

    def get(self, review_id: UUID) -> Review:
        """Return a review. Raises NotFound("Review")."""
        row = self._database.fetch_one(GET, review_id)
        if row is None:
            raise NotFound("Review")
        return to_review(row)

    def reply(self, review_id: UUID, text: str) -> Review:
        """Store the reply to a review, and return the review. Waits for a concurrent transaction that replies to it.

        Raises Conflict (ALREADY_REPLIED) when the review has a reply.
        """
        row = self._database.fetch_one(REPLY, review_id, text)
        if row is None:
            raise Conflict("This review has a reply already", "ALREADY_REPLIED")
        return to_review(row)

    def count(self, gig_id: UUID, stars: int) -> StarCounts:
        """Count one more review of the gig, and return the new counts.

        The gig's counts stay locked until the end of the transaction.
        """
        row = self._database.fetch_one(COUNT, gig_id, stars)
        assert row is not None
        return to_counts(row)

    def recount(self, gig_id: UUID, above_version: int) -> StarCounts:
        """Count the gig's reviews anew, and return the counts, with a version above this one and all earlier ones.

        The gig's counts stay locked until the end of the transaction.
        """
        self._database.fetch_all(LOCK_COUNTS, gig_id)
        # A statement of its own: it sees all reviews that were counted before the lock was free.
        row = self._database.fetch_one(RECOUNT, gig_id, above_version)
        assert row is not None
        return to_counts(row)

    def report_rating(self, gig_id: UUID, counts: StarCounts) -> None:
        """Write the gig's rating to the outbox, in the transaction that has counted."""
        payload = {"count": counts.count, "total": counts.total}
        self._outbox.add(RATINGS, str(gig_id), counts.version, payload)

    def report_review(self, review: SentReview) -> None:
        """Write the review to the outbox once more, for its seller's badges, in a transaction."""
        payload = {
            "gig_id": str(review.gig_id),
            "buyer_id": str(review.buyer_id),
            "stars": review.stars,
            "created_at": review.created_at.isoformat(),
        }
        self._outbox.add(REVIEWS, str(review.id), 1, payload)


def to_review(row: Row) -> Review:
    """Return the review of a row with COLUMNS."""
    values = {name: row[name] for name in COLUMNS.split(", ")}
    text, at = values.pop("reply"), values.pop("replied_at")
    return Review(**values, reply=None if text is None else Reply(text, at))


def to_counts(row: Row, name: str = "stars") -> StarCounts:
    """Return the counts in a row: its version, and its columns `stars_1` to `stars_5`, or others named alike."""
    one, two, three, four, five = (row[f"{name}_{stars}"] for stars in STARS)
    return StarCounts(row["version"], (one, two, three, four, five))
