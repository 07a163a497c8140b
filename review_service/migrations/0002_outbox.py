"""The outbox, which reports ratings to GigService."""

from typing import Any

from servicekit.outbox import SCHEMA_1


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(SCHEMA_1)
