"""More time for orders: the open request, and by how many days accepted ones have moved the due date."""

from typing import Any

UP = """
-- A worker of an older version moves an order on and leaves its request as it is, which does no harm: it counts only
-- while the order is IN_PROGRESS.
ALTER TABLE orders
    ADD COLUMN extension_days integer,
    ADD COLUMN extension_message text NOT NULL DEFAULT '',
    ADD COLUMN extension_at timestamptz,
    ADD COLUMN extended_days integer NOT NULL DEFAULT 0;
-- NOT VALID: no row has a request yet, and reading them all would hold up every order.
ALTER TABLE orders ADD CONSTRAINT orders_extension
    CHECK (num_nonnulls(extension_days, extension_at) IN (0, 2) AND extension_days > 0) NOT VALID;
ALTER TABLE orders ADD CONSTRAINT orders_extended_days CHECK (extended_days BETWEEN 0 AND 365) NOT VALID;
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
