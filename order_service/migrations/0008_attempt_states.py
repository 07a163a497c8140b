"""The states of an attempt: it waits for the provider's response or for the buyer's confirmation, or it is given up."""

from typing import Any

UP = """
ALTER TABLE attempts
    ADD COLUMN state text NOT NULL DEFAULT 'asking'
    CHECK (state IN ('asking', 'confirming', 'refused', 'giving_up')),
    -- The provider's id of the payment, once it is known. The client secret is never stored.
    ADD COLUMN reference text NOT NULL DEFAULT '',
    -- The end of the time in which the buyer can confirm the payment, fixed by the first request.
    ADD COLUMN confirm_before timestamptz;
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
