"""The outbox marks rows that wait behind others of their key, so that a claim need not walk over them."""

from typing import Any

from servicekit.outbox import SCHEMA_3


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(SCHEMA_3)
