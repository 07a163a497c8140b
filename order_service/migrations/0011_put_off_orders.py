"""An index for orders that wait for a delivery, and the orders that could not be moved by time."""

from typing import Any

UP = """
CREATE INDEX orders_undelivered ON orders (due_at, id) WHERE status = 'IN_PROGRESS';

-- A row is over when the order has another version: then somebody has moved it. There is no foreign key, because its
-- lock on the order would have to wait.
CREATE TABLE put_off_orders (
    order_id uuid PRIMARY KEY,
    version integer NOT NULL,
    tries integer NOT NULL CHECK (tries > 0),
    error text NOT NULL,
    failed_at timestamptz NOT NULL,
    next_try_at timestamptz NOT NULL
);
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
