"""Payments that wait for the buyer's confirmation."""

from typing import Any

UP = """
ALTER TABLE payments DROP CONSTRAINT payments_state_check;
ALTER TABLE payments
    ADD CONSTRAINT payments_state_check CHECK (state IN ('WAITING', 'HELD', 'VOIDED', 'CAPTURED')),
    ADD COLUMN client_secret text NOT NULL DEFAULT '',
    -- When the buyer confirms the payment, or fails to; null for never.
    ADD COLUMN confirms_at timestamptz;
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
