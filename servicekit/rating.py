"""The one rule for what many ratings come to, shared by those who show it."""

from decimal import Decimal


def mean_rating(count: int, total: int) -> Decimal:
    """The exact mean of `count` ratings that sum up to `total` stars, rounded half up to one decimal (4.25 is 4.3).

    In whole numbers alone, so that no binary fraction can tip a half the wrong way. Without ratings it is 0.0.
    """
    if count == 0:
        return Decimal("0.0")
    tenths = (20 * total + count) // (2 * count)
    return Decimal(tenths).scaleb(-1)
