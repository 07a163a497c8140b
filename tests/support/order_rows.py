"""The rows of OrderService's database that tests of money compare, and concurrent calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from servicekit.database import Statement
from tests.support.at_once import closing
from tests.support.orderservice import OrderBackend
from tests.support.rpc import Answer

ROW_COUNTS = Statement("""
    SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM attempts) AS attempts,
        (SELECT count(*) FROM idempotency_keys) AS keys, (SELECT count(*) FROM outbox) AS outbox
""")
LEDGER = Statement("""
    SELECT account.name, sum(entry.amount) AS amount FROM ledger_entries AS entry
    JOIN ledger_accounts AS account ON account.id = entry.account_id GROUP BY account.name
""")


def row_counts(world: OrderBackend) -> dict[str, int]:
    """Return the number of orders, attempts, idempotency keys and outbox rows."""
    return dict(world.database.fetch_all(ROW_COUNTS)[0])


def ledger(world: OrderBackend) -> dict[str, Decimal]:
    """Return the balances of the ledger accounts that are not empty, without the provider's fees."""
    return {name: amount for name, amount in all_accounts(world).items() if name not in ("fees", "fees_paid")}


def all_accounts(world: OrderBackend) -> dict[str, Decimal]:
    """Return the balances of the ledger accounts that are not empty."""
    return {row["name"]: row["amount"] for row in world.database.fetch_all(LEDGER) if row["amount"]}


def concurrently(world: OrderBackend, calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Make each call in a thread of its own. Return their answers."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result(30) for each in [pool.submit(closing(world.database, call)) for call in calls]]
