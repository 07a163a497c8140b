"""What reviews come to: the sums behind a gig's rating and a seller's badges."""

from dataclasses import dataclass
from decimal import Decimal

from servicekit.rating import mean_rating


@dataclass(frozen=True, slots=True)
class Tally:
    """How many reviews there are (`count`), and the sum of their stars (`total`)."""

    count: int = 0
    total: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.count + other.count, self.total + other.total)

    def __sub__(self, other: "Tally") -> "Tally":
        return Tally(self.count - other.count, self.total - other.total)

    @property
    def rating(self) -> Decimal:
        """The rating that is shown: one decimal, 0.0 without reviews."""
        return mean_rating(self.count, self.total)


@dataclass(frozen=True, slots=True)
class Badge:
    """Earned by having `at_least` to `at_most` reviews with an exact mean of `tenths` tenths of a star or more."""

    name: str
    at_least: int
    at_most: int | None
    tenths: int

    def earned_by(self, tally: Tally) -> bool:
        """Whether reviews that come to this have earned it. Reckoned in whole numbers: 4.79 is not 4.8."""
        enough = tally.count >= self.at_least and (self.at_most is None or tally.count <= self.at_most)
        return enough and 10 * tally.total >= self.tenths * tally.count


BADGES = (
    Badge("Top Seller", at_least=10, at_most=None, tenths=48),
    Badge("Rising Talent", at_least=3, at_most=9, tenths=45),
)


def badges(tally: Tally) -> list[str]:
    """What the reviews of all of a seller's gigs, deleted ones included, have earned."""
    return [badge.name for badge in BADGES if badge.earned_by(tally)]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a gig's reviews: `version` is that of the last word from ReviewService, 0 before the first."""

    version: int
    tally: Tally


def newer(known: Standing, told: Standing) -> bool:
    """Whether what ReviewService tells has to be taken over. It may come twice, late, and in any order."""
    return told.version > known.version
