"""The seller's reply to a review."""

from typing import Any

UP = """
ALTER TABLE reviews
    ADD COLUMN reply text,
    ADD COLUMN replied_at timestamptz,
    ADD CONSTRAINT a_reply_has_a_time CHECK ((reply IS NULL) = (replied_at IS NULL));
"""


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(UP)
