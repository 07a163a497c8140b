"""Ratings of gigs, and the badges of sellers."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from servicekit.rating import mean_rating


@dataclass(frozen=True, slots=True)
class RatingTotals:
    """The number of reviews (`count`) and the sum of their stars (`total`)."""

    count: int = 0
    total: int = 0

    def __add__(self, other: "RatingTotals") -> "RatingTotals":
        return RatingTotals(self.count + other.count, self.total + other.total)

    def __sub__(self, other: "RatingTotals") -> "RatingTotals":
        return RatingTotals(self.count - other.count, self.total - other.total)

    @property
    def rating(self) -> Decimal:
        """The rating on the page: one decimal, 0.0 without reviews."""
        return mean_rating(self.count, self.total)


@dataclass(frozen=True, slots=True)
class Badge:
    """A badge: earned with a number of reviews in the range and a mean of `min_mean_tenths` tenths of a star or more.

    Each buyer has one review that counts. `max_reviews` is None when there is no upper bound.
    """

    name: str
    min_reviews: int
    max_reviews: int | None
    min_mean_tenths: int

    def is_earned_by(self, totals: RatingTotals) -> bool:
        """Return whether these reviews have earned the badge. The mean is exact, in whole numbers: 4.79 is not 4.8."""
        in_range = totals.count >= self.min_reviews and (self.max_reviews is None or totals.count <= self.max_reviews)
        return in_range and 10 * totals.total >= self.min_mean_tenths * totals.count


BADGES = (
    Badge("Top Seller", min_reviews=10, max_reviews=None, min_mean_tenths=48),
    Badge("Rising Talent", min_reviews=3, max_reviews=9, min_mean_tenths=45),
)

_FEWEST_REVIEWS = min(badge.min_reviews for badge in BADGES)


def badges(totals: RatingTotals) -> list[str]:
    """Return the names of the badges earned with these totals: those of each buyer's newest review of a seller's gigs.

    Deleted gigs count as well.
    """
    # Most sellers have fewer reviews than the first badge needs.
    if totals.count < _FEWEST_REVIEWS:
        return []
    return [badge.name for badge in BADGES if badge.is_earned_by(totals)]


@dataclass(frozen=True, slots=True)
class BuyerReview:
    """A review as it counts for the badges of the gig's seller."""

    id: UUID
    buyer_id: UUID
    created_at: datetime
    stars: int

    @property
    def totals(self) -> RatingTotals:
        """The totals of this one review."""
        return RatingTotals(1, self.stars)

    def is_newer_than(self, stored: "BuyerReview") -> bool:
        """Return whether this review replaces the buyer's stored one. Reviews arrive repeatedly, late, in any order."""
        return (self.created_at, self.id) > (stored.created_at, stored.id)


def count_review(totals: RatingTotals, stored: BuyerReview | None, review: BuyerReview) -> RatingTotals | None:
    """Return a seller's totals with a buyer's review in place of the stored one; None when it changes nothing."""
    if stored is None:
        return totals + review.totals
    return totals - stored.totals + review.totals if review.is_newer_than(stored) else None


@dataclass(frozen=True, slots=True)
class GigRating:
    """A gig's rating as ReviewService sends it. `version` grows with every review; 0 is a gig without reviews."""

    version: int
    totals: RatingTotals

    def is_newer_than(self, stored: "GigRating") -> bool:
        """Return whether this rating replaces the stored one. Ratings arrive repeatedly, late and in any order."""
        return self.version > stored.version


@dataclass(frozen=True, slots=True)
class StoredRating:
    """A gig's rating as it is stored, and what is shown of it.

    `page_rating` is that of the gig's page; `is_searched` says whether searches show the same as the page.
    """

    gig_id: UUID
    rating: GigRating
    page_rating: Decimal
    is_searched: bool

    @property
    def is_shown(self) -> bool:
        """Whether the gig's page and searches show the rating of these totals."""
        return self.page_rating == self.rating.totals.rating and self.is_searched
