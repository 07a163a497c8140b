"""Amounts of money: doubles in the protos, exact decimals everywhere else."""

from decimal import Decimal


def to_decimal(amount: float) -> Decimal:
    """Return the amount with two decimals: the shortest decimal number that reads as this double.

    The double nearest to 19.99 becomes exactly 19.99, as the client wrote it.
    """
    return Decimal(repr(amount)).quantize(Decimal("0.01"))
