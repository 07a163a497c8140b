"""The commission: the marketplace's share of a sale."""

from decimal import ROUND_HALF_EVEN, Decimal

CENT = Decimal("0.01")


def commission(price: Decimal, percent: Decimal) -> Decimal:
    """Return `percent` of a price, rounded half even to the cent. The seller gets the rest. All in major units."""
    return (price * percent / 100).quantize(CENT, rounding=ROUND_HALF_EVEN)
