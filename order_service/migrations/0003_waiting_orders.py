"""When work was last handed over, and the orders that wait for people, oldest first."""

from typing import Any

UP = """
ALTER TABLE orders ADD COLUMN last_delivered_at timestamptz;

UPDATE orders SET last_delivered_at = delivery.at FROM (
    SELECT order_id, max(at) AS at FROM order_events WHERE action = 'deliver' GROUP BY order_id
) AS delivery
WHERE delivery.order_id = orders.id;

-- Partial: what was answered costs nothing here, so that a look at them every second is cheap.
CREATE INDEX orders_unanswered ON orders (created_at, id) WHERE status = 'PENDING';
CREATE INDEX orders_unapproved ON orders (last_delivered_at, id) WHERE status = 'DELIVERED';
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
