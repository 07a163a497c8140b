"""The extras of packages."""

from typing import Any

UP = """
-- The extras in their order, as {id, title, price, extra_days, extra_revisions}; see docs/adr/0057. An older version
-- neither reads nor writes them.
ALTER TABLE packages ADD COLUMN extras jsonb NOT NULL DEFAULT '[]';
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
