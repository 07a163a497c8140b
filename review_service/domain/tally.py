"""What the reviews of one gig come to."""

from dataclasses import dataclass
from decimal import Decimal

from servicekit.rating import mean_rating

STARS = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many reviews of a gig there are of each star, 1 first. `version` grows by one with every review."""

    version: int = 0
    counts: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)

    @property
    def count(self) -> int:
        """How many reviews there are."""
        return sum(self.counts)

    @property
    def total(self) -> int:
        """The sum of their stars."""
        return sum(stars * count for stars, count in zip(STARS, self.counts, strict=True))

    @property
    def mean(self) -> Decimal:
        """Their exact mean, rounded half up to one decimal; 0.0 without reviews."""
        return mean_rating(self.count, self.total)

    @property
    def histogram(self) -> dict[int, int]:
        """How many there are of each star, those with none included."""
        return dict(zip(STARS, self.counts, strict=True))
