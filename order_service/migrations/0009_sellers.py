"""Indexes for every list of orders; payout holds, adjustments, and payouts that wait for the platform's balance."""

from typing import Any

UP = """
-- Whether the order has ever had a chargeback. The table of chargebacks keeps it, whoever writes there.
ALTER TABLE orders ADD COLUMN had_chargeback boolean NOT NULL DEFAULT false;
UPDATE orders SET had_chargeback = true WHERE id IN (SELECT order_id FROM chargebacks);
CREATE FUNCTION orders_had_chargeback() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE orders SET had_chargeback = true WHERE id = NEW.order_id AND NOT had_chargeback;
    RETURN NULL;
END
$$;
CREATE TRIGGER had_chargeback AFTER INSERT ON chargebacks
    FOR EACH ROW EXECUTE FUNCTION orders_had_chargeback();

-- A list is a merge of its statuses, each of which is a range of one of these; docs/adr/0014 says why. They replace the
-- indexes without a status. A worker of an older version reads its lists from them as well, only slower. Writes to
-- orders wait while these are made; where that takes too long, they are made before, with CREATE INDEX CONCURRENTLY.
CREATE INDEX IF NOT EXISTS orders_buyer_status ON orders (buyer_id, status, created_at, id);
CREATE INDEX IF NOT EXISTS orders_seller_status ON orders (seller_id, status, created_at, id);
CREATE INDEX IF NOT EXISTS orders_gig_status ON orders (gig_id, status, created_at, id);
CREATE INDEX IF NOT EXISTS orders_pair ON orders (buyer_id, seller_id, created_at, id);
DROP INDEX orders_buyer, orders_seller, orders_created;
-- The same for the few orders with a chargeback.
CREATE INDEX orders_chargeback_status ON orders (status, created_at, id) WHERE had_chargeback;
CREATE INDEX orders_chargeback_buyer ON orders (buyer_id, status, created_at, id) WHERE had_chargeback;
CREATE INDEX orders_chargeback_seller ON orders (seller_id, status, created_at, id) WHERE had_chargeback;
CREATE INDEX orders_chargeback_gig ON orders (gig_id, status, created_at, id) WHERE had_chargeback;

-- Sellers whose payouts are held. `admin_id` has set the reason.
CREATE TABLE payout_holds (
    seller_id uuid PRIMARY KEY,
    reason text NOT NULL,
    admin_id uuid NOT NULL,
    since timestamptz NOT NULL
);

ALTER TABLE payouts
    -- Set while the provider is asked, or was asked and its outcome is not known.
    ADD COLUMN sent_at timestamptz,
    -- The times that the provider definitely did not pay, and may pay later. Part of the next idempotency key there.
    ADD COLUMN refusals integer NOT NULL DEFAULT 0 CHECK (refusals >= 0);
-- A worker of an older version may be asking the provider for them.
UPDATE payouts SET sent_at = updated_at WHERE status = 'PENDING';
CREATE INDEX payouts_pending ON payouts (seller_id) WHERE status = 'PENDING';

-- An adjustment is one ledger transaction, which has its message to the seller.
CREATE TABLE adjustments (
    id uuid PRIMARY KEY,
    seller_id uuid NOT NULL,
    admin_id uuid NOT NULL,
    amount numeric(16, 2) NOT NULL CHECK (amount <> 0),
    at timestamptz NOT NULL
);
ALTER TABLE ledger_transactions
    ADD COLUMN adjustment_id uuid REFERENCES adjustments (id),
    ADD CHECK (adjustment_id IS NULL OR message <> '');
CREATE UNIQUE INDEX ledger_transactions_adjustment ON ledger_transactions (adjustment_id)
    WHERE adjustment_id IS NOT NULL;
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
