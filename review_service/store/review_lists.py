"""Lists of reviews in PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from review_service.domain.listing import Listing, Sort
from review_service.domain.review import Review
from review_service.domain.star_counts import StarCounts
from review_service.store.reviews import COLUMNS, to_counts, to_review
from servicekit.database import Database, Statement


class PageKey(NamedTuple):
    """The end of a page: the stars, the time (aware) and the id of its last review."""

    stars: int
    created_at: datetime
    id: UUID


# Newer than every review.
LATEST = (datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))
# The greatest of both `stars` and `-stars`, and one more.
ABOVE_ALL = 6


def _page(after: str, order: str = "") -> Statement:
    """Return the statement of a page of at most $2 reviews of the gig $1.

    `after` is the condition of the page's begin, `$3` and `$4` the time and the id of the review before it; `order` is
    what the reviews are sorted by before their time. Each review has a row, with the gig's counts in every row. A page
    without reviews is one row with the counts alone. One statement, so that counts and reviews are of the same
    snapshot; each is served by an index in the order of the list.
    """
    return Statement(f"""
        SELECT page.*, version, stars_1, stars_2, stars_3, stars_4, stars_5
        FROM gig_ratings LEFT JOIN (
            SELECT {COLUMNS} FROM reviews
            WHERE gig_id = $1::uuid AND {after}
            ORDER BY {order} created_at DESC, id DESC LIMIT $2::integer
        ) AS page ON true
        WHERE gig_ratings.gig_id = $1::uuid
        ORDER BY {order} created_at DESC, id DESC
    """)


NEWEST = _page("(created_at, id) < ($3::timestamptz, $4::uuid)")
OF_STARS = _page("stars = $5::smallint AND (created_at, id) < ($3::timestamptz, $4::uuid)")
MANY_STARS_FIRST = _page("(stars, created_at, id) < ($5::smallint, $3::timestamptz, $4::uuid)", "stars DESC,")
FEW_STARS_FIRST = _page("(-stars, created_at, id) < ($5::smallint, $3::timestamptz, $4::uuid)", "-stars DESC,")


class ReviewLists:
    """The pages of gigs' lists of reviews."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, listing: Listing, *, after: PageKey | None = None, limit: int) -> tuple[list[Review], StarCounts]:
        """Return the first `limit` reviews of a list that come after a key, and the counts of all the gig's reviews."""
        statement, more = choose(listing, after)
        begin = (after.created_at, after.id) if after else LATEST
        rows = self._database.fetch_all(statement, listing.gig_id, limit, *begin, *more)
        if not rows:
            return [], StarCounts()
        return [to_review(row) for row in rows if row["id"]], to_counts(rows[0])


def choose(listing: Listing, after: PageKey | None) -> tuple[Statement, tuple[int, ...]]:
    """Return the statement of a list's page, and its fifth parameter where it has one."""
    if listing.stars is not None:
        # All have the same number of stars: every order is that of their times.
        return OF_STARS, (listing.stars,)
    match listing.sort:
        case Sort.NEWEST:
            return NEWEST, ()
        case Sort.RATING_DESCENDING:
            return MANY_STARS_FIRST, (after.stars if after else ABOVE_ALL,)
        case Sort.RATING:
            return FEW_STARS_FIRST, (-after.stars if after else ABOVE_ALL,)
