"""Amounts of money between the wire, where they are doubles, and everything else, where they are exact."""

from decimal import Decimal


def to_decimal(amount: float) -> Decimal:
    """The decimal number that a client wrote: the shortest one that reads as this double. 19.99 is exactly 19.99."""
    return Decimal(repr(amount)).quantize(Decimal("0.01"))
