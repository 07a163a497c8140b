"""Reads everything that a gig's rating and its seller's badges come from, for `make repair-ratings`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from review_service.domain.rating_differences import Records, SentReview
from review_service.domain.star_counts import STARS
from review_service.store.reviews import RATINGS, REVIEWS, to_counts
from servicekit.database import Database, Statement
from servicekit.outbox.admin import resend

NUMBER = Statement("SELECT (SELECT count(*) FROM gig_ratings) AS gigs, (SELECT count(*) FROM reviews) AS reviews")
GIG_IDS = Statement("""
    (SELECT gig_id FROM gig_ratings WHERE gig_id > $1 ORDER BY gig_id LIMIT $2)
    UNION (SELECT DISTINCT gig_id FROM reviews WHERE gig_id > $1 ORDER BY gig_id LIMIT $2)
    ORDER BY gig_id LIMIT $2
""")
_STORED = ", ".join(f"coalesce(gig_ratings.stars_{stars}, 0) AS stars_{stars}" for stars in STARS)
_COUNTED = ", ".join(f"count(*) FILTER (WHERE stars = {stars}) AS stars_{stars}" for stars in STARS)
_OUTBOX = """
    SELECT count(*) > 0 AS is_waiting, min(id) FILTER (WHERE parked_at IS NOT NULL) AS parked_row
    FROM outbox WHERE topic = {topic} AND key = {key}::text
"""
# One statement, so that all of it is of the same snapshot.
RECORDS = Statement(f"""
    SELECT gig.id AS gig_id, coalesce(version, 0) AS version, {_STORED},
        {", ".join(f"counted.stars_{stars} AS reviews_{stars}" for stars in STARS)}, is_waiting, parked_row
    FROM unnest($1::uuid[]) AS gig(id)
    LEFT JOIN gig_ratings ON gig_ratings.gig_id = gig.id
    CROSS JOIN LATERAL (SELECT {_COUNTED} FROM reviews WHERE reviews.gig_id = gig.id) AS counted
    CROSS JOIN LATERAL ({_OUTBOX.format(topic="$2", key="gig.id")}) AS undelivered
""")
PAGE = Statement(f"""
    SELECT page.*, is_waiting, parked_row FROM (
        SELECT id, gig_id, buyer_id, stars, created_at FROM reviews
        WHERE (gig_id, created_at, id) > ($1, $2, $3) ORDER BY gig_id, created_at, id LIMIT $4
    ) AS page
    CROSS JOIN LATERAL ({_OUTBOX.format(topic="$5", key="page.id")}) AS undelivered
    ORDER BY gig_id, created_at, page.id
""")

LEAST_ID = UUID(int=0)
GREATEST_ID = UUID(int=2**128 - 1)


class Position(NamedTuple):
    """The gig, the time (aware) and the id of a review. Reviews are read in their order."""

    gig_id: UUID
    created_at: datetime
    id: UUID


START = Position(LEAST_ID, datetime.min.replace(tzinfo=UTC), LEAST_ID)


class RatingAudit:
    """The records of gigs, and the reviews that were sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def numbers(self) -> tuple[int, int]:
        """Return the numbers of rated gigs and of reviews."""
        row = self._database.fetch_one(NUMBER)
        assert row is not None
        return row["gigs"], row["reviews"]

    def gig_ids(self, after: UUID, limit: int) -> list[UUID]:
        """Return the ids of the next gigs that have counts or reviews, in their order."""
        return [row["gig_id"] for row in self._database.fetch_all(GIG_IDS, after, limit)]

    def records(self, gig_ids: Sequence[UUID]) -> dict[UUID, Records]:
        """Return the records of gigs, all of the same moment."""
        return {
            row["gig_id"]: Records(
                row["gig_id"],
                to_counts(row),
                to_counts(row, "reviews"),
                is_waiting=row["is_waiting"],
                parked_row=row["parked_row"],
            )
            for row in self._database.fetch_all(RECORDS, list(gig_ids), RATINGS)
        }

    def reviews(self, after: Position, limit: int) -> list[SentReview]:
        """Return the next reviews, in the order of their positions."""
        return [SentReview(**row) for row in self._database.fetch_all(PAGE, *after, limit, REVIEWS)]

    def resend(self, row_id: int) -> None:
        """Have a parked row of the outbox delivered as if it were new."""
        resend(self._database, row_id)
