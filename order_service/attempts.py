"""`python -m order_service.attempts`: show calls to the payment provider that are not finished, retry or drop one."""

from __future__ import annotations

import argparse
import sys
import time
from uuid import UUID

from order_service.domain.attempt import Kind, State
from order_service.settings import PaymentSettings
from order_service.store.attempts import ListedAttempt
from order_service.store.store import Store
from servicekit.database import Database
from servicekit.errors import MarketplaceError
from servicekit.outbox.console import duration
from servicekit.settings import load

# The most attempts that are shown; the number of further ones is printed.
SHOWN = 100
COLUMNS = ("order", "kind", "buyer", "amount", "age", "tries", "state")
# A worker gives an attempt up within a second, when the provider answers.
DROP_SECONDS = 10.0
STATES = {
    State.ASKING: "waits for the provider",
    State.CONFIRMING: "awaits confirmation",
    State.REFUSED: "confirmation refused",
    State.GIVING_UP: "giving up",
}


def show(store: Store) -> None:
    """Print the open attempts, the oldest first."""
    items, total = store.attempts.listed(SHOWN)
    if not items:
        print("No attempt is open.")
        return
    print(f"{total} open")
    lines = [COLUMNS, *(cells(item) for item in items)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if total > len(items):
        print(f"  and {total - len(items)} more")


def cells(item: ListedAttempt) -> tuple[str, ...]:
    """Return a row of the table, in the order of COLUMNS."""
    attempt = item.attempt
    state = STATES[attempt.state]
    if attempt.confirm_before is not None and attempt.state is not State.GIVING_UP:
        state += f" until {attempt.confirm_before:%Y-%m-%d %H:%M:%S} UTC"
    state += ", is due" if item.wait <= 0 else f", next try in {duration(item.wait)}"
    amount = f"{item.amount} {item.currency}"
    return (
        str(attempt.order_id), str(attempt.kind), str(item.buyer_id), amount, duration(item.age), str(attempt.tries),
        state,
    )  # fmt: skip


def retry(store: Store, order_id: UUID | None) -> int:
    """Make one attempt due now, or all. Returns 1 when the order has none, else 0."""
    order_ids = store.attempts.retry(order_id)
    if order_ids:
        print(f"due now: {', '.join(sorted(map(str, order_ids)))}")
    elif order_id is not None:
        print(f"Order {order_id} has no open attempt.", file=sys.stderr)
        return 1
    return 0


def drop(store: Store, order_id: UUID, seconds: float = DROP_SECONDS) -> int:
    """Give the placing of an order up, and wait until a worker has voided its payment.

    Returns 1 when the order has no open attempt to place it, else 0.
    """
    attempt = store.attempts.get(order_id)
    if attempt is not None and attempt.kind is Kind.CAPTURE:
        print(
            f"The money of order {order_id} may be captured: it cannot be dropped. It ends when the provider answers,"
            " or when the card authorization lapses; for an offer after PAYMENT_ATTEMPT_MINUTES. --retry asks now.",
            file=sys.stderr,
        )
        return 1
    if attempt is None or not store.attempts.give_up(order_id):
        print(f"Order {order_id} has no open attempt.", file=sys.stderr)
        return 1
    store.attempts.retry(order_id)
    deadline = time.monotonic() + seconds
    while store.attempts.get(order_id) is not None:
        if time.monotonic() > deadline:
            print(f"{order_id} is given up; its payment is voided as soon as a worker runs and the provider answers.")
            return 0
        time.sleep(0.1)
    print(f"{order_id} is given up, and its payment is voided.")
    return 0


def _order(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not the id of an order") from None


def _order_or_all(text: str) -> UUID | None:
    return None if text == "all" else _order(text)


def main() -> int:
    """Run the command. Returns 1 when the order has no such attempt, 2 when the database cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m order_service.attempts", description="Show calls to the payment provider that are not finished."
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--drop", metavar="ORDER", type=_order, help="void the payment of this placing, and place none")
    action.add_argument(
        "--retry", metavar="ORDER|all", type=_order_or_all, default=False, help="ask the provider now, or about all"
    )
    options = parser.parse_args()
    settings = load(PaymentSettings)
    store = Store(Database(settings.order_database_url))
    try:
        status = 0
        if options.drop is not None:
            status = drop(store, options.drop)
        elif options.retry is not False:
            status = retry(store, options.retry)
        show(store)
    except MarketplaceError as error:
        print(f"The attempts cannot be read: {error.__cause__ or error}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
