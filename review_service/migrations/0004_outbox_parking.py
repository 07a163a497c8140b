"""An outbox that wakes its relays, and parks what cannot be delivered."""

from typing import Any

from servicekit.outbox import SCHEMA_2


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(SCHEMA_2)
