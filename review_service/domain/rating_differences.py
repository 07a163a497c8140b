"""Differences between the reviews of a gig, their counts, and the rating that GigService has of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from review_service.domain.star_counts import StarCounts

NO_REVIEWS = StarCounts()


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a gig here, all of one moment.

    `counts` are stored, `reviews` are counted from the reviews now, in the version of `counts`. `is_waiting` says
    whether the outbox has a row with a rating of the gig; `parked_row` is the id of one that is parked.
    """

    gig_id: UUID
    counts: StarCounts = NO_REVIEWS
    reviews: StarCounts = NO_REVIEWS
    is_waiting: bool = False
    parked_row: int | None = None


@dataclass(frozen=True, slots=True)
class GigServiceRating:
    """The rating of a gig as GigService has it. `is_shown` says whether the gig's page and searches show it."""

    gig_id: UUID
    version: int = 0
    count: int = 0
    total: int = 0
    is_shown: bool = True


@dataclass(frozen=True, slots=True)
class SentReview:
    """A review as GigService counts it for the badges of the gig's seller.

    `is_waiting` says whether the outbox still has it; `parked_row` is the id of its row when that is parked.
    """

    id: UUID
    gig_id: UUID
    buyer_id: UUID
    stars: int
    created_at: datetime
    is_waiting: bool = False
    parked_row: int | None = None


@dataclass(frozen=True, slots=True)
class Differences:
    """The differences of a gig, as texts. `is_rating_wrong` says whether there are others than a parked row."""

    texts: list[str]
    is_rating_wrong: bool


def compare(before: Records, theirs: GigServiceRating, after: Records) -> Differences:
    """Compare the records of a gig with its rating in GigService.

    `before` was read before `theirs`, and `after` after it. So reviews of these moments make no difference: a rating
    that the outbox had no row of in `before` had been delivered by then, and `theirs` cannot be newer than `after`.
    """
    texts = []
    if after.counts != after.reviews:
        texts.append(f"counted are {_sums(after.counts)}, and there are {_sums(after.reviews)}")
    is_behind = theirs.version < before.counts.version and not before.is_waiting
    is_other = theirs.version == before.counts.version and _totals(before.counts) != (theirs.count, theirs.total)
    if is_behind or is_other or theirs.version > after.counts.version:
        has = f"{theirs.count} reviews with {theirs.total} stars (version {theirs.version})"
        texts.append(f"GigService has {has}, ReviewService {_sums(after.counts)} (version {after.counts.version})")
    if not theirs.is_shown:
        texts.append("its page or searches do not show the rating that GigService has")
    is_rating_wrong = bool(texts)
    if after.parked_row is not None:
        texts.append(f"its rating's outbox row {after.parked_row} is parked")
    return Differences(texts, is_rating_wrong)


def _totals(counts: StarCounts) -> tuple[int, int]:
    return counts.count, counts.total


def _sums(counts: StarCounts) -> str:
    return f"{counts.count} reviews with {counts.total} stars"
