"""The ledger in PostgreSQL. Entries are never changed, and the database checks their sums; see 0005_ledger.py."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from order_service.domain.balance import Balance, Entry
from order_service.domain.ledger import SELLERS, Account, Kind, Posting
from servicekit.database import Database, Statement

OPEN = Statement("""
    INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name
    ON CONFLICT DO NOTHING
""")
LOCK = Statement("SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE")
# The entries of a seller's account go on with the number and the balance of its last one.
POST = Statement("""
    WITH transaction AS (
        INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at)
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id
    ), line AS (
        SELECT place, owner, amount, kind, CASE
            WHEN owner IS NULL THEN (SELECT id FROM ledger_accounts WHERE owner IS NULL AND name = account)
            ELSE (SELECT id FROM ledger_accounts WHERE owner = line.owner AND name = account)
        END AS account_id
        FROM unnest($7::uuid[], $8::text[], $9::numeric[], $10::text[])
            WITH ORDINALITY AS line (owner, account, amount, kind, place)
    ), numbered AS (
        SELECT line.*, coalesce(last.number, 0) + row_number() OVER so_far AS number,
            coalesce(last.balance, 0) + sum(amount) OVER so_far AS balance
        FROM line LEFT JOIN LATERAL (
            SELECT number, balance FROM ledger_entries
            WHERE line.owner IS NOT NULL AND account_id = line.account_id ORDER BY number DESC LIMIT 1
        ) AS last ON true
        WINDOW so_far AS (PARTITION BY line.account_id ORDER BY place)
    )
    INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance)
    SELECT transaction.id, account_id, amount, kind, CASE WHEN owner IS NOT NULL THEN number END,
        CASE WHEN owner IS NOT NULL THEN balance - amount END, CASE WHEN owner IS NOT NULL THEN balance END
    FROM transaction, numbered ORDER BY place
""")
BALANCES = Statement("""
    SELECT account.name, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL (
        SELECT balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1
    ) AS last
    WHERE account.owner = $1
""")
ENTRIES = Statement("""
    SELECT entry.number, transaction.at, entry.kind, entry.amount, transaction.order_id, transaction.payout_id,
        transaction.message
    FROM ledger_entries AS entry JOIN ledger_transactions AS transaction ON transaction.id = entry.transaction_id
    WHERE entry.account_id = (SELECT id FROM ledger_accounts WHERE owner = $1 AND name = 'available')
    AND entry.number < $2 ORDER BY entry.number DESC LIMIT $3
""")
HAS_ENTRIES = Statement("""
    SELECT EXISTS (
        SELECT FROM ledger_accounts AS account CROSS JOIN LATERAL (
            SELECT FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1
        ) AS last
        WHERE account.owner = $1
    ) AS has_entries
""")

# Newer than every entry.
START = 2**62


class Ledger:
    """Postings, balances and their entries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lock(self, seller_id: UUID) -> None:
        """Lock the seller's accounts until the end of the transaction.

        A transaction that locks several sellers does so by their ids; see Store for the order of all locks.
        """
        self._database.write(OPEN, seller_id, sorted(SELLERS))
        self._database.write(LOCK, seller_id)

    def post(self, posting: Posting, at: datetime) -> None:
        """Write a posting in the caller's transaction.

        It locks its accounts until the end of the transaction, so it comes last there. The next statement or the
        commit fails for a posting that does not sum to zero, that was written before, or that takes more than the
        seller has.
        """
        if not self._database.peewee.in_transaction():
            raise RuntimeError("a posting is written in the transaction of its event")
        owners = sorted({line.owner for line in posting.lines if line.owner is not None})
        for owner in owners:
            self.lock(owner)
        belongs_to = (posting.order_id, posting.payout_id, posting.adjustment_id)
        columns = [[getattr(line, name) for line in posting.lines] for name in ("owner", "account", "amount", "kind")]
        self._database.write(POST, posting.reference, *belongs_to, posting.message, at, *columns)

    def balance(self, seller_id: UUID) -> Balance:
        """Return the seller's balance. It costs the same for any number of entries."""
        balances = {row["name"]: row["balance"] for row in self._database.fetch_all(BALANCES, seller_id)}
        nothing = Decimal(0)
        return Balance(
            balances.get(Account.ESCROW, nothing),
            balances.get(Account.AVAILABLE, nothing),
            balances.get(Account.PAID_OUT, nothing),
        )

    def entries(self, seller_id: UUID, *, after: int, limit: int) -> list[Entry]:
        """Return the newest `limit` movements of the available balance that are older than the `after`th."""
        rows = self._database.fetch_all(ENTRIES, seller_id, after, limit)
        return [Entry(**{**row, "kind": Kind(row["kind"])}) for row in rows]

    def has_entries(self, seller_id: UUID) -> bool:
        """Return whether any of the seller's accounts has an entry."""
        return bool(self._database.fetch_all(HAS_ENTRIES, seller_id)[0]["has_entries"])
