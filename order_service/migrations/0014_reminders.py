"""Reminders: what the sides of an order were reminded of, and which rows of the history are reminders."""

from typing import Any

UP = """
-- The created_at, due_at or last_delivered_at that the last reminder was about. Null: there was none. A worker of an
-- older version leaves it as it is, which does no harm: it counts only while it equals the column that it was about.
ALTER TABLE orders ADD COLUMN reminded_of timestamptz;
-- Clients do not see reminders in the history.
ALTER TABLE order_events ADD COLUMN is_reminder boolean NOT NULL DEFAULT false;

-- Partial: an order that has had its reminder costs nothing here, so that a look every second is cheap.
CREATE INDEX orders_expiring ON orders (created_at, id)
    WHERE status = 'PENDING' AND reminded_of IS DISTINCT FROM created_at;
CREATE INDEX orders_due_soon ON orders (due_at, id)
    WHERE status = 'IN_PROGRESS' AND reminded_of IS DISTINCT FROM due_at;
CREATE INDEX orders_auto_completing ON orders (last_delivered_at, id)
    WHERE status = 'DELIVERED' AND reminded_of IS DISTINCT FROM last_delivered_at;
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
