"""The rating of one gig: the counts of its reviews, and their mean."""

from dataclasses import dataclass
from decimal import Decimal

from servicekit.rating import mean_rating

STARS = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class StarCounts:
    """The numbers of a gig's reviews with 1 to 5 stars. `version` grows by one with each review."""

    version: int = 0
    counts: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)

    @property
    def count(self) -> int:
        """The number of reviews."""
        return sum(self.counts)

    def of(self, stars: int | None) -> int:
        """Return the number of reviews with these stars; of all reviews for None."""
        return self.count if stars is None else self.counts[stars - 1]

    @property
    def total(self) -> int:
        """The sum of all stars."""
        return sum(stars * count for stars, count in zip(STARS, self.counts, strict=True))

    @property
    def mean(self) -> Decimal:
        """The exact mean, rounded half up to one decimal; 0.0 without reviews."""
        return mean_rating(self.count, self.total)

    @property
    def histogram(self) -> dict[int, int]:
        """The number of reviews by stars, zeros included."""
        return dict(zip(STARS, self.counts, strict=True))
