"""The lines of orders: the package first, then its extras."""

from typing import Any

UP = """
-- An order from before has none: it is one line, of its package. So is an order that an older version places.
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
