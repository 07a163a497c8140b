"""Writes whole batches of reviews, for `make load-data`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from servicekit.bulk_load import BulkLoad, CopyInto

REVIEWS = CopyInto(
    "reviews", "id, order_id, gig_id, buyer_id, buyer_name, stars, comment, created_at, reply, replied_at"
)
RATINGS = CopyInto("gig_ratings", "gig_id, version, stars_1, stars_2, stars_3, stars_4, stars_5")
TABLES = ("reviews", "gig_ratings")
# Its trigger reports every review to GigService, where the load has written them all.
REPORTED = ("reviews",)


@dataclass(frozen=True, slots=True)
class ReviewRows:
    """The rows of a batch: lines of COPY's text format, with the columns above."""

    reviews: Sequence[str]
    ratings: Sequence[str]


def write(bulk: BulkLoad, rows: ReviewRows) -> None:
    """Store the rows in the caller's transaction."""
    bulk.without_triggers(REPORTED)
    bulk.copy(REVIEWS, rows.reviews)
    bulk.copy(RATINGS, rows.ratings)
    bulk.with_triggers(REPORTED)
