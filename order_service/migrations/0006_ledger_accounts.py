"""Accounts for refunds at the platform's cost, adjustments and the provider's fees, and a kind of entry."""

from typing import Any

UP = """
ALTER TABLE ledger_accounts DROP CONSTRAINT ledger_accounts_check;
ALTER TABLE ledger_accounts ADD CONSTRAINT ledger_accounts_check CHECK (
    name IN ('escrow', 'available', 'paying_out', 'paid_out') AND owner IS NOT NULL
    OR name IN (
        'buyers', 'escrow_commission', 'commission', 'refunds_due', 'chargebacks',
        'platform_refunds', 'adjustments', 'fees', 'fees_paid'
    ) AND owner IS NULL
);
INSERT INTO ledger_accounts (name) VALUES ('platform_refunds'), ('adjustments'), ('fees'), ('fees_paid');

ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_kind_check;
ALTER TABLE ledger_entries ADD CONSTRAINT ledger_entries_kind_check
    CHECK (kind IN ('SALE', 'REFUND', 'COMMISSION', 'PAYOUT', 'PAYOUT_FAILED', 'ADJUSTMENT'));
-- The ledger transaction's message to the seller, which an adjustment has.
ALTER TABLE ledger_transactions ADD COLUMN message text NOT NULL DEFAULT '';
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
