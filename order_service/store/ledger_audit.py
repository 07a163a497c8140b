"""The checks of the ledger against itself, of some ledger transactions at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from servicekit.database import Database, Statement

# The ledger transactions of one check.
BATCH = 20_000

BOUNDS = Statement("""
    SELECT coalesce(min(id), 0) AS first, coalesce(max(id), 0) AS last FROM ledger_transactions
    WHERE at >= coalesce($1, '-infinity'::timestamptz) AND at < $2::timestamptz
""")
UNBALANCED = Statement("""
    SELECT transaction.reference, coalesce(sum(entry.amount), 0) AS sum, count(entry.id) AS entries
    FROM ledger_transactions AS transaction LEFT JOIN ledger_entries AS entry ON entry.transaction_id = transaction.id
    WHERE transaction.id BETWEEN $1 AND $2
    GROUP BY transaction.id HAVING coalesce(sum(entry.amount), 1) <> 0
    ORDER BY transaction.id
""")
# Each entry of a seller follows the one before it. The first ones of a batch follow an entry of an earlier batch, so
# that the balances of all batches together are the sums from the first entry on.
WRONG_CHAINS = Statement("""
    SELECT account.owner, account.name, wrong.number FROM (
        SELECT link.account_id, link.number FROM (
            SELECT account_id, number, amount, balance,
                lag(number) OVER chain AS number_before, lag(balance) OVER chain AS balance_before
            FROM ledger_entries WHERE transaction_id BETWEEN $1 AND $2 AND number IS NOT NULL
            WINDOW chain AS (PARTITION BY account_id ORDER BY number)
        ) AS link
        LEFT JOIN ledger_entries AS earlier ON link.number_before IS DISTINCT FROM link.number - 1
            AND earlier.account_id = link.account_id AND earlier.number = link.number - 1
        WHERE link.balance < 0 OR link.balance IS DISTINCT FROM link.amount + CASE
            WHEN link.number = 1 THEN 0
            WHEN link.number_before = link.number - 1 THEN link.balance_before
            ELSE earlier.balance
        END
    ) AS wrong JOIN ledger_accounts AS account ON account.id = wrong.account_id
    ORDER BY wrong.account_id, wrong.number
""")
STRAY = Statement("""
    SELECT reference FROM ledger_transactions AS transaction
    WHERE id BETWEEN $1 AND $2 AND (
        num_nonnulls(order_id, payout_id, adjustment_id) <> 1
        OR order_id IS NOT NULL AND NOT EXISTS (SELECT FROM orders WHERE id = transaction.order_id)
        OR payout_id IS NOT NULL AND NOT EXISTS (SELECT FROM payouts WHERE id = transaction.payout_id)
    )
    ORDER BY id
""")
WRONG_ADJUSTMENTS = Statement("""
    SELECT adjustments.id FROM adjustments
    LEFT JOIN ledger_transactions AS posted ON posted.adjustment_id = adjustments.id
    WHERE adjustments.at >= coalesce($1, '-infinity'::timestamptz) AND adjustments.at < $2::timestamptz AND (
        SELECT array_agg((account.name, account.owner, entry.amount, entry.kind) ORDER BY account.name)
        FROM ledger_entries AS entry JOIN ledger_accounts AS account ON account.id = entry.account_id
        WHERE entry.transaction_id = posted.id
    ) IS DISTINCT FROM ARRAY[
        ('adjustments'::text, NULL::uuid, -amount, NULL::text),
        ('available'::text, seller_id, amount, 'ADJUSTMENT'::text)
    ]
    ORDER BY adjustments.id
""")


class LedgerAudit:
    """Checks the ledger. `window` names the ledger transactions of a time, `faults` checks a range of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def window(self, since: datetime | None, until: datetime) -> tuple[int, int]:
        """Return the first and the last id of the ledger transactions of this time; (0, 0) when there are none."""
        with self._unlimited():
            row = self._database.fetch_all(BOUNDS, since, until)[0]
        return row["first"], row["last"]

    def faults(self, first: int, last: int) -> Iterator[str]:
        """Yield the differences among these ledger transactions, the first and the last id included."""
        with self._unlimited():
            unbalanced = self._database.fetch_all(UNBALANCED, first, last)
            wrong_chains = self._database.fetch_all(WRONG_CHAINS, first, last)
            stray = self._database.fetch_all(STRAY, first, last)
        for row in unbalanced:
            yield f"ledger: {row['reference']} sums to {row['sum']} over {row['entries']} entries, not to zero"
        for row in wrong_chains:
            yield f"ledger: the balance of {row['name']} of {row['owner']} is wrong at its entry {row['number']}"
        for row in stray:
            yield f"ledger: {row['reference']} belongs to no order, payout or adjustment"

    def wrong_adjustments(self, since: datetime | None, until: datetime) -> list[str]:
        """Return the differences between the adjustments of this time and the ledger."""
        with self._unlimited():
            rows = self._database.fetch_all(WRONG_ADJUSTMENTS, since, until)
        return [f"adjustment {row['id']}: is not in the ledger, or with other entries" for row in rows]

    @contextmanager
    def _unlimited(self) -> Iterator[None]:
        """Open a transaction whose statements may take longer than those of a request."""
        with self._database.transaction():
            self._database.execute("SET LOCAL statement_timeout = 0")
            yield
