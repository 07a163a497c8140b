"""The outbox notifies its relays, and parks rows that cannot be delivered."""

from typing import Any

from servicekit.outbox import SCHEMA_2


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(SCHEMA_2)
