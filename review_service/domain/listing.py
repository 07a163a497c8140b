"""Lists of a gig's reviews: the filter and the orders."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Sort(StrEnum):
    """The orders of a list, by the names that clients use. Of the same number of stars the newest come first."""

    NEWEST = "newest"
    RATING = "rating"
    RATING_DESCENDING = "-rating"


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of a gig's reviews: those with this number of stars, or all of them, in this order."""

    gig_id: UUID
    stars: int | None = None
    sort: Sort = Sort.NEWEST
