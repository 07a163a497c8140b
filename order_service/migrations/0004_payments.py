"""What became of each order's money, the outside calls that were begun, and what providers have reported."""

from typing import Any

from servicekit.outbox import SCHEMA_1, SCHEMA_2

UP = f"""
ALTER TABLE orders DROP CONSTRAINT orders_status_check;
ALTER TABLE orders
    ADD CONSTRAINT orders_status_check
    CHECK (status IN ('PENDING', 'IN_PROGRESS', 'DELIVERED', 'DISPUTED', 'COMPLETED', 'CANCELLED')),
    -- Null for an order from before there were payments: no money is behind it. CAPTURING: an attempt is under way.
    ADD COLUMN payment_status text
    CHECK (payment_status IN ('AUTHORIZED', 'CAPTURING', 'CAPTURED', 'VOIDED', 'REFUNDED', 'PARTIALLY_REFUNDED')),
    -- The provider's own name for the payment.
    ADD COLUMN payment_reference text NOT NULL DEFAULT '',
    -- When the card's hold ends.
    ADD COLUMN capture_before timestamptz,
    -- What the buyer is to get back, and what they have got.
    ADD COLUMN refund_due numeric(12, 2) NOT NULL DEFAULT 0 CHECK (refund_due BETWEEN 0 AND price),
    ADD COLUMN refunded numeric(12, 2) NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND refund_due),
    -- What the buyer's bank has taken back.
    ADD COLUMN charged_back numeric(12, 2) NOT NULL DEFAULT 0 CHECK (charged_back BETWEEN 0 AND price),
    -- The marketplace's share in percent, frozen when the order was placed.
    ADD COLUMN commission_percent numeric(5, 2) NOT NULL DEFAULT 0 CHECK (commission_percent BETWEEN 0 AND 100);

CREATE UNIQUE INDEX orders_payment ON orders (payment_reference) WHERE payment_reference <> '';
CREATE INDEX orders_lapsing ON orders (capture_before, id) WHERE status = 'PENDING';

-- Outside calls that were begun and whose outcome is not known yet. The order is in `orders` for a capture only.
CREATE TABLE attempts (
    order_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('authorize', 'capture')),
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL
);
CREATE INDEX attempts_due ON attempts (next_try_at, order_id);

-- What a provider has reported, each report taken once.
CREATE TABLE provider_events (
    id text PRIMARY KEY,
    taken_at timestamptz NOT NULL
);
CREATE TABLE chargebacks (
    id text PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders (id),
    amount numeric(12, 2) NOT NULL CHECK (amount > 0),
    state text NOT NULL CHECK (state IN ('OPEN', 'WON', 'LOST')),
    reported_at timestamptz NOT NULL
);
CREATE INDEX chargebacks_order ON chargebacks (order_id);

{SCHEMA_1}
{SCHEMA_2}
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
