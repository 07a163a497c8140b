"""The events of the feed, for watches, systems and webhooks."""

from typing import Any

UP = """
CREATE TABLE events (
    -- The order of the writing. Transactions commit in another one: nobody reads the feed by it.
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    -- The place in the feed, given to rows that are committed: a row that has none yet will come after all that have.
    position bigint UNIQUE CHECK (position > 0),
    at timestamptz NOT NULL,
    type text NOT NULL,
    -- Of an order: the row of its history that has this version.
    order_id uuid,
    version integer,
    payout_id uuid,
    -- The people it concerns.
    buyer_id uuid,
    seller_id uuid NOT NULL,
    -- The order or the payout as it was then, by the names of its fields in the domain.
    subject jsonb NOT NULL,
    CHECK (num_nonnulls(order_id, payout_id) = 1),
    CHECK (num_nonnulls(order_id, version, buyer_id) IN (0, 3))
);
CREATE INDEX events_new ON events (sequence) WHERE position IS NULL;
CREATE INDEX events_buyer ON events (buyer_id, position);
CREATE INDEX events_seller ON events (seller_id, position);

-- Wakes those who follow the feed, once for each commit.
CREATE FUNCTION events_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('events', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER events_added AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION events_notify();
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
