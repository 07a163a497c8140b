"""The erasure of what buyers and sellers have named in the sandbox: cards and accounts. A real provider has its own."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from servicekit.database import Database, Statement
from servicekit.personal_data import forget_samples

# A scenario's name is no person's, and decides what the payment does later.
ERASE_CARDS = Statement("""
    UPDATE payments SET token = CASE WHEN starts_with(token, 'sandbox_') THEN token ELSE '' END, client_secret = ''
    WHERE order_id = ANY ($1::uuid[]) AND (client_secret <> '' OR token <> '' AND NOT starts_with(token, 'sandbox_'))
    RETURNING 1
""")
ERASE_ACCOUNTS = Statement("""
    UPDATE payouts SET destination = ''
    WHERE payout_id = ANY ($1::uuid[]) AND destination <> '' AND NOT starts_with(destination, 'sandbox_') RETURNING 1
""")
TABLES = ("payments", "payouts")


class SandboxErasure:
    """Erases cards and accounts in the sandbox's records; payments and payouts stay."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cards(self, order_ids: Sequence[UUID]) -> int:
        """Erase the cards of orders. Return their number."""
        return len(self._database.fetch_all(ERASE_CARDS, list(order_ids)))

    def accounts(self, payout_ids: Sequence[UUID]) -> int:
        """Erase the accounts of payouts. Return their number."""
        return len(self._database.fetch_all(ERASE_ACCOUNTS, list(payout_ids)))

    def forget_samples(self, *, compacts: bool) -> None:
        """Do as PersonalData does."""
        forget_samples(self._database, TABLES, compacts=compacts)
