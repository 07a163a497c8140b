"""Offers, orders of offers, and the attempts to place them."""

from typing import Any

# Not concurrently: `attempts` has a few rows, each for a moment.
UP = """
CREATE TABLE offers (
    id uuid PRIMARY KEY,
    conversation_id uuid NOT NULL REFERENCES conversations,
    gig_id uuid NOT NULL,
    seller_id uuid NOT NULL,
    buyer_id uuid NOT NULL CHECK (buyer_id <> seller_id),
    title text NOT NULL,
    description text NOT NULL,
    price numeric(12, 2) NOT NULL CHECK (price > 0),
    delivery_days integer NOT NULL CHECK (delivery_days > 0),
    revisions integer NOT NULL CHECK (revisions >= 0),
    -- EXPIRED is stored after `expires_at`, by a periodic task; readers do not wait for it.
    status text NOT NULL CHECK (status IN ('OPEN', 'ACCEPTED', 'DECLINED', 'WITHDRAWN', 'EXPIRED')),
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    order_id uuid UNIQUE REFERENCES orders,
    CHECK ((status = 'ACCEPTED') = (order_id IS NOT NULL))
);
-- Lists, newest first. A list of all statuses merges one range of an index for each.
CREATE INDEX offers_buyer ON offers (buyer_id, status, created_at, id);
CREATE INDEX offers_seller ON offers (seller_id, status, created_at, id);
CREATE INDEX offers_gig ON offers (gig_id, status, created_at, id);
CREATE INDEX offers_conversation ON offers (conversation_id, status, created_at, id);
CREATE INDEX offers_status ON offers (status, created_at, id);
CREATE INDEX offers_expiring ON offers (expires_at, id) WHERE status = 'OPEN';

-- An order is of a package or of an offer.
ALTER TABLE orders ALTER COLUMN package_id DROP NOT NULL;
ALTER TABLE orders ADD COLUMN offer_id uuid;
-- NOT VALID: old rows met a stricter condition, and reading them all would hold up every order.
ALTER TABLE orders ADD CONSTRAINT orders_source CHECK (num_nonnulls(package_id, offer_id) = 1) NOT VALID;

ALTER TABLE attempts
    -- The offer that it is to place an order of.
    ADD COLUMN offer_id uuid,
    -- Whether the provider was asked and did not answer in time.
    ADD COLUMN is_in_doubt boolean NOT NULL DEFAULT false,
    -- The end of the authorization, where the capture belongs to a placing.
    ADD COLUMN capture_before timestamptz;
CREATE INDEX attempts_offer ON attempts (offer_id) WHERE offer_id IS NOT NULL;
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
