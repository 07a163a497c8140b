"""The users whose accounts are erased."""

from typing import Any

from servicekit.erased_users import SCHEMA_1


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(SCHEMA_1)
