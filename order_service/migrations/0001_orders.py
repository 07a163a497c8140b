"""Orders and their history."""

from typing import Any

UP = """
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    -- Grows by one with every change; the number of the change's row in order_events.
    version integer NOT NULL CHECK (version > 0),
    status text NOT NULL CHECK (status IN ('PENDING', 'IN_PROGRESS', 'DELIVERED', 'COMPLETED', 'CANCELLED')),
    buyer_id uuid NOT NULL,
    seller_id uuid NOT NULL CHECK (seller_id <> buyer_id),
    gig_id uuid NOT NULL,
    gig_title text NOT NULL,
    package_id uuid NOT NULL,
    package_title text NOT NULL,
    price numeric(12, 2) NOT NULL CHECK (price > 0),
    currency text NOT NULL,
    delivery_days integer NOT NULL CHECK (delivery_days > 0),
    revisions_left integer NOT NULL CHECK (revisions_left >= 0),
    requirements text NOT NULL,
    payment_method text NOT NULL,
    due_at timestamptz NOT NULL,
    first_delivered_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- One's own orders, newest first: as buyer, as seller. For admins: all, and all in one state.
CREATE INDEX orders_buyer ON orders (buyer_id, created_at, id);
CREATE INDEX orders_seller ON orders (seller_id, created_at, id);
CREATE INDEX orders_created ON orders (created_at, id);
CREATE INDEX orders_status ON orders (status, created_at, id);

-- Append-only: what happened to each order. `came_from` is null for the placing.
CREATE TABLE order_events (
    order_id uuid NOT NULL REFERENCES orders (id),
    version integer NOT NULL,
    at timestamptz NOT NULL,
    by text NOT NULL CHECK (by IN ('buyer', 'seller', 'admin', 'system')),
    action text NOT NULL,
    came_from text,
    went_to text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (order_id, version)
);
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
