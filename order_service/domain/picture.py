"""The page that shows the transition table: `python -m order_service.domain.picture FILE` writes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from order_service.domain.lifecycle import TRANSITIONS, Effect, Transition, When

WHEN = {
    When.ALWAYS: "",
    When.OVERDUE_NEVER_DELIVERED: "overdue and never delivered",
    When.OVERDUE_AFTER_A_REVISION: "overdue after a revision",
    When.REVISIONS_LEFT: "revisions are left",
    When.UNANSWERED_TOO_LONG: "`ORDER_EXPIRE_HOURS` (48) have passed, or the card's hold ends within the hour",
    When.THE_PROVIDER_SAYS_SO: "the payment provider says so",
    When.UNAPPROVED_TOO_LONG: "`ORDER_AUTO_COMPLETE_HOURS` (72) have passed since the last delivery",
}
EFFECT = {
    Effect.NOTHING: "",
    Effect.HAND_OVER: "the time of the delivery is kept",
    Effect.USE_REVISION: "one revision is used; due again in the package's delivery days",
    Effect.CAPTURE: "the payment is captured first, and held in escrow",
    Effect.VOID: "the hold on the buyer's card is let go of",
    Effect.REFUND: "the buyer gets everything back",
    Effect.RELEASE: "the seller gets the money in escrow, less commission and what a `resolve` gives back",
}

HEAD = """# The life of an order

Made from the table in `order_service/domain/lifecycle.py` by `make generate`. The check of an action, the `actions` of
an answer, the worker that acts when time has passed and the tests read the same table.

"""
TAIL = """
An order is placed once its payment is authorised, and accepted once it is captured. While the provider is asked for the
capture nobody can do anything to the order: it stands PENDING, and its `actions` are empty. `capture_failed` is what
becomes of it when the provider refuses for good, `chargeback` what the buyer's bank does.

Time has the last word: from the moment at which the system's row holds, people have nothing more to do with the order,
whether a worker has got to it yet or not.
"""


def page() -> str:
    """The page: a diagram and the table."""
    return HEAD + "".join(_diagram()) + "\n" + "".join(_table()) + TAIL


def _diagram() -> Iterator[str]:
    yield "```mermaid\nstateDiagram-v2\n    [*] --> PENDING: place (buyer)\n"
    for row in TRANSITIONS:
        yield f"    {row.came_from} --> {row.to}: {row.action} ({row.by})\n"
    for end in _ends():
        yield f"    {end} --> [*]\n"
    yield "```\n"


def _ends() -> list[str]:
    """The states that nothing leads out of, in the table's order."""
    beginnings = {row.came_from for row in TRANSITIONS}
    return list(dict.fromkeys(str(row.to) for row in TRANSITIONS if row.to not in beginnings))


def _table() -> Iterator[str]:
    yield "| from | action | by | to | when | what happens |\n|---|---|---|---|---|---|\n"
    for row in TRANSITIONS:
        yield _row(row)


def _row(row: Transition) -> str:
    what = (row.came_from, f"`{row.action}`", row.by, row.to, WHEN[row.when], EFFECT[row.effect])
    return f"| {' | '.join(map(str, what))} |\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
