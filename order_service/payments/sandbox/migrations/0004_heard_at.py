"""The times of calls that have been heard once."""

from typing import Any

UP = """
ALTER TABLE heard ADD COLUMN at timestamptz NOT NULL DEFAULT app_now();
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
