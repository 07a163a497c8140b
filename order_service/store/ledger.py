"""The ledger in PostgreSQL. Entries are never changed, and the database checks their sums; see 0005_ledger.py."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from order_service.domain.balance import Balance, Entry
from order_service.domain.ledger import SELLERS, Account, Kind, Posting
from servicekit.database import Database, Statement

ACCOUNTS = Statement("SELECT id, owner, name FROM ledger_accounts WHERE owner IS NULL OR owner = ANY ($1::uuid[])")
OPEN = Statement("""
    INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name
    ON CONFLICT DO NOTHING
""")
LOCK = Statement("SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE")
LAST = Statement("""
    SELECT account.id, last.number, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL (
        SELECT number, balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1
    ) AS last
    WHERE account.owner = ANY ($1::uuid[])
""")
TRANSACTION = Statement("""
    INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at)
    VALUES ($1, $2, $3, $4, $5, $6) RETURNING id
""")
ENTRY = Statement("""
    INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
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

        It locks its accounts until the end of the transaction, so it comes last there. The database refuses a posting
        that does not sum to zero, that was written before, or that takes more than the seller has.
        """
        if not self._database.peewee.in_transaction():
            raise RuntimeError("a posting is written in the transaction of its event")
        owners = sorted({line.owner for line in posting.lines if line.owner is not None})
        for owner in owners:
            self.lock(owner)
        accounts = {(row["owner"], row["name"]): row["id"] for row in self._database.fetch_all(ACCOUNTS, owners)}
        last = {row["id"]: (row["number"], row["balance"]) for row in self._database.fetch_all(LAST, owners)}
        belongs_to = (posting.order_id, posting.payout_id, posting.adjustment_id)
        transaction = self._database.fetch_one(TRANSACTION, posting.reference, *belongs_to, posting.message, at)
        assert transaction is not None
        for line in posting.lines:
            account = accounts[line.owner, line.account]
            chain: tuple[int | None, Decimal | None, Decimal | None] = (None, None, None)
            if line.owner is not None:
                number, before = last.get(account, (0, Decimal(0)))
                chain = (number + 1, before, before + line.amount)
                last[account] = (number + 1, before + line.amount)
            self._database.write(ENTRY, transaction["id"], account, line.amount, line.kind, *chain)

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
