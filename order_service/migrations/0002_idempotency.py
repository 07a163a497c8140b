"""Idempotency keys, and what they were first answered with."""

from typing import Any

from servicekit.idempotency import SCHEMA_1


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(SCHEMA_1)
