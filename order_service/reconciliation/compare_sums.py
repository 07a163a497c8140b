"""The comparison of sums of ledger entries with the lines that they must be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from order_service.domain.ledger import Line

NOTHING = Decimal(0)


def compare_sums(actual: Iterable[str], expected: Iterable[Line]) -> Iterator[str]:
    """Yield a difference for each account that has another sum than expected.

    An actual sum is a text, `account kind owner=amount`, without an owner for the platform's accounts and with `-` for
    no kind. Texts are read only where they differ: there are many, and nearly all are as expected.
    """
    texts = {_text(line) for line in expected}
    if texts == set(actual):
        return
    ours, theirs = dict(map(_read, actual)), dict(map(_read, texts))
    for slot in sorted(ours.keys() | theirs.keys()):
        amount, expected_amount = ours.get(slot, NOTHING), theirs.get(slot, NOTHING)
        if amount != expected_amount:
            yield f"has {amount} of {slot.replace(' -', '')} in the ledger, and {expected_amount} is expected"


def _text(line: Line) -> str:
    slot = f"{line.account} {line.kind or '-'}"
    return f"{slot}={line.amount}" if line.owner is None else f"{slot} {line.owner}={line.amount}"


def _read(text: str) -> tuple[str, Decimal]:
    slot, _, amount = text.partition("=")
    return slot, Decimal(amount)
