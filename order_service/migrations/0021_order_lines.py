"""The lines of orders with extras or a quantity: the package first, then its extras."""

from typing import Any

UP = """
-- Whether the order has rows in order_lines. One without is a single line, of its package: so are the orders from
-- before, and those that an older version places.
ALTER TABLE orders ADD COLUMN has_lines boolean NOT NULL DEFAULT false;
CREATE TABLE order_lines (
    order_id uuid NOT NULL REFERENCES orders (id),
    position integer NOT NULL CHECK (position > 0),
    title text NOT NULL,
    unit_price numeric(12, 2) NOT NULL CHECK (unit_price > 0),
    quantity integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, position)
);
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
