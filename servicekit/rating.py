"""The mean of ratings, computed alike by every service that shows it."""

from decimal import Decimal


def mean_rating(count: int, total: int) -> Decimal:
    """Return the mean of `count` ratings with `total` stars, rounded half up to one decimal (4.25 is 4.3).

    Without ratings it is 0.0. Integer arithmetic keeps it exact: a binary fraction could round a half down.
    """
    if count == 0:
        return Decimal("0.0")
    tenths = (20 * total + count) // (2 * count)
    return Decimal(tenths).scaleb(-1)
