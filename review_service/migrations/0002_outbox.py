"""The outbox that tells GigService what reviews come to."""

from typing import Any

from servicekit.outbox import SCHEMA_1


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(SCHEMA_1)
