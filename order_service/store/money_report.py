"""The movements of the money report, from the ledger's entries."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from order_service.domain.ledger import Account
from order_service.domain.money_report import Movement
from servicekit.database import Database, Statement

# One statement, and so one moment, while the market goes on.
MOVEMENTS = Statement("""
    SELECT moved.day, account.name, moved.is_capture, sum(moved.amount) AS amount FROM (
        SELECT CASE WHEN transaction.at >= $1 THEN (transaction.at AT TIME ZONE 'UTC')::date END AS day,
            entry.account_id, starts_with(transaction.reference, 'capture:') AS is_capture, sum(entry.amount) AS amount
        FROM ledger_transactions AS transaction JOIN ledger_entries AS entry ON entry.transaction_id = transaction.id
        WHERE transaction.at < $2::timestamptz
        GROUP BY 1, 2, 3
    ) AS moved JOIN ledger_accounts AS account ON account.id = moved.account_id
    GROUP BY 1, 2, 3
""")


class MoneyReport:
    """Reads the ledger for a report."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def movements(self, first: date, last: date) -> list[Movement]:
        """Return the movements of each day from `first` to `last`, and those before together. Days are in UTC."""
        with self._database.transaction():
            # A large ledger takes longer than any request may.
            self._database.execute("SET LOCAL statement_timeout = 0")
            rows = self._database.fetch_all(MOVEMENTS, _start(first), _start(last + timedelta(days=1)))
        return [Movement(row["day"], Account(row["name"]), row["is_capture"], row["amount"]) for row in rows]


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
