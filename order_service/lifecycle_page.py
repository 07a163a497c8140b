"""The page that shows the transition table: `python -m order_service.lifecycle_page FILE` writes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from order_service.domain.feed import TYPES
from order_service.domain.lifecycle import TRANSITIONS, Condition, Effect, Transition
from order_service.domain.order import Party
from order_service.domain.placing import STARTS, Source
from order_service.domain.reminders import STATUSES, Reminder

CONDITIONS = {
    Condition.ALWAYS: "",
    Condition.OVERDUE_BEFORE_DELIVERY: "overdue and never delivered",
    Condition.OVERDUE_AFTER_REVISION: "overdue after a revision",
    Condition.EXTENDABLE: "no request for more time is open, its extensions together have less than 365 days, and the"
    " order has had less than 500 changes",
    Condition.EXTENSION_OPEN: "a request for more time is open",
    Condition.REVISIONS_LEFT: "revisions are left",
    Condition.REFUNDABLE: "a part of the price is not refunded yet",
    Condition.ANSWER_OVERDUE: "`ORDER_EXPIRE_HOURS` (48) have passed, or the card authorization ends within the hour",
    Condition.REPORTED_BY_PROVIDER: "the payment provider reports it",
    Condition.APPROVAL_OVERDUE: "`ORDER_AUTO_COMPLETE_HOURS` (72) have passed since the last delivery",
    Condition.DELIVERY_OVERDUE: "`ORDER_ABANDON_DAYS` (30) have passed since it was due",
}
EFFECTS = {
    Effect.NOTHING: "",
    Effect.RECORD_DELIVERY: "the time of the delivery is recorded",
    Effect.ASK_FOR_TIME: "a request for more time is open, until the buyer answers it or the status changes",
    Effect.MOVE_DUE_DATE: "the due date moves by the days of the request",
    Effect.KEEP_DUE_DATE: "the request is closed",
    Effect.USE_REVISION: "one revision is used; due again in the order's delivery days",
    Effect.CAPTURE: "the payment is captured first, and held in escrow; due in the order's delivery days",
    Effect.VOID: "the card authorization is voided",
    Effect.REFUND: "the buyer is refunded in full",
    Effect.RELEASE: "the seller gets the money in escrow, less commission and the refund of a `resolve`",
    Effect.REFUND_MORE: "the buyer is refunded in part, from the seller's balance or at the platform's cost",
}

# What is ordered, and what happens to its payment first.
PLACINGS = {
    Source.PACKAGE: ("a package", "the payment is authorized first"),
    Source.OFFER: ("an offer", "the payment is authorized and captured first, and held in escrow"),
}

# When each comes.
REMINDERS = {
    Reminder.EXPIRING: "`ORDER_EXPIRING_HOURS` (12) before the order expires, if nobody answers it",
    Reminder.DUE_SOON: "`ORDER_DUE_SOON_HOURS` (24) before each due date",
    Reminder.AUTO_COMPLETING: "`ORDER_AUTO_COMPLETING_HOURS` (24) before the delivery is accepted by itself",
}

HEAD = """# The life of an order

Made from the table in `order_service/domain/lifecycle.py` by `make generate`. The check of an action, the `actions` of
a response, the worker for order timeouts and the tests read the same table.

"""
TAIL = """
An order of a package is placed once its payment is authorized, and accepted once its payment is captured. The seller
of an offer has agreed to it already, so both happen before its order is there. During the capture of an accept the
order is PENDING and its `actions` are empty. `capture_failed` follows when the provider refuses the capture for good,
`chargeback` when the buyer's bank takes money back; in any other status it stands in the history, and changes nothing.
`refund_failed` undoes a `refund` that the provider refuses for good. An admin who is a side of an order has no admin's
actions on it.

A request for more time takes no right from the buyer while it is open. When it is accepted, the due date moves by its
days, also one that has passed, and everything that depends on the due date follows the new one. An order gets 365 days
more at most, in all its requests together: a request for more days than are left is refused. So is a request after 500
changes of the order, reminders included: a declined request uses no days, and the history is read as a whole. Any
change of the status closes an open request, without a row of its own in the history.

A timeout closes an order to people: from the moment at which the system's row holds, no other action is open. Whether a
worker has run yet does not change who may do what.

## Reminders

Before an order is due, and before time moves it on, an event of the feed reminds of that, once each. An order that
begins to wait within the lead gets it at once. After an outage it comes late, but never at the moment itself or later.
It changes nothing of the order that clients see, and does not stand in the history.

| status | event | when |
|---|---|---|
"""


def page() -> str:
    """Return the page: a diagram, the table, and the reminders."""
    return HEAD + "".join(_diagram()) + "\n" + "".join(_table()) + TAIL + "".join(_reminders())


def _diagram() -> Iterator[str]:
    yield "```mermaid\nstateDiagram-v2\n"
    for source, start in STARTS.items():
        yield f"    [*] --> {start.status}: place {PLACINGS[source][0]} ({Party.BUYER})\n"
    for row in TRANSITIONS:
        yield f"    {row.from_status} --> {row.to_status}: {row.action} ({row.by})\n"
    for end in _ends():
        yield f"    {end} --> [*]\n"
    yield "```\n"


def _ends() -> list[str]:
    """Return the statuses that no transition leaves, in the table's order."""
    left = {row.from_status for row in TRANSITIONS if row.from_status is not row.to_status}
    return list(dict.fromkeys(str(row.to_status) for row in TRANSITIONS if row.to_status not in left))


def _table() -> Iterator[str]:
    yield "| from | action | by | to | when | what happens |\n|---|---|---|---|---|---|\n"
    for source, start in STARTS.items():
        thing, effect = PLACINGS[source]
        yield f"| | `place` | {Party.BUYER} | {start.status} | of {thing} | {effect} |\n"
    for row in TRANSITIONS:
        yield _row(row)


def _row(row: Transition) -> str:
    cells = (row.from_status, f"`{row.action}`", row.by, row.to_status, CONDITIONS[row.condition], EFFECTS[row.effect])
    return f"| {' | '.join(map(str, cells))} |\n"


def _reminders() -> Iterator[str]:
    for reminder, text in REMINDERS.items():
        yield f"| {STATUSES[reminder]} | `{TYPES[reminder]}` | {text} |\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
