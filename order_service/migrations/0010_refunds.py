"""Refunds and fees as records of their own, chargebacks with all their states, and refunds after the end of an order.

Orders that the earlier rules left wrong are mended: a refund that counted on money that a bank has returned, or never
held, is due again.
"""

from typing import Any

UP = """
CREATE TABLE refunds (
    -- Ours, and the idempotency key at the provider.
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders (id),
    amount numeric(12, 2) NOT NULL CHECK (amount > 0),
    state text NOT NULL CHECK (state IN ('REQUESTED', 'REQUIRES_ACTION', 'PENDING', 'SUCCEEDED', 'FAILED')),
    -- Empty until the provider has named it.
    provider_id text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX refunds_order ON refunds (order_id);
CREATE UNIQUE INDEX refunds_provider_id ON refunds (provider_id) WHERE provider_id <> '';

-- What the provider charged.
CREATE TABLE provider_fees (
    -- The provider's.
    id text PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders (id),
    amount numeric(12, 2) NOT NULL,
    reported_at timestamptz NOT NULL
);
CREATE INDEX provider_fees_order ON provider_fees (order_id);

ALTER TABLE chargebacks DROP CONSTRAINT chargebacks_state_check;
UPDATE chargebacks SET state = 'NEEDS_RESPONSE' WHERE state = 'OPEN';
ALTER TABLE chargebacks
    ADD CONSTRAINT chargebacks_state_check CHECK (state IN ('NEEDS_RESPONSE', 'UNDER_REVIEW', 'LOST', 'WON')),
    ADD COLUMN evidence_due_by timestamptz;

ALTER TABLE payouts
    -- The part of a PAID payout that came back to the platform.
    ADD COLUMN reversed numeric(16, 2) NOT NULL DEFAULT 0 CHECK (reversed BETWEEN 0 AND amount);

-- The time until which the provider was asked for its events, where reports may be lost.
CREATE TABLE provider_polls (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    until timestamptz NOT NULL
);

-- Of refunds after the end of an order.
ALTER TABLE order_events
    ADD COLUMN amount numeric(12, 2),
    ADD COLUMN paid_by text CHECK (paid_by IN ('seller', 'platform'));

ALTER TABLE orders
    -- A refund that was made by hand at the provider was not decided here.
    DROP CONSTRAINT orders_check2,
    DROP CONSTRAINT orders_check3,
    ADD CONSTRAINT orders_refunded_check CHECK (refunded >= 0),
    ADD CONSTRAINT orders_charged_back_check CHECK (charged_back >= 0),
    ADD COLUMN platform_refund numeric(12, 2) NOT NULL DEFAULT 0,
    ADD COLUMN fees numeric(12, 2) NOT NULL DEFAULT 0,
    ADD COLUMN postings integer NOT NULL DEFAULT 0,
    ADD COLUMN chargeback_amount numeric(12, 2),
    ADD COLUMN chargeback_state text CHECK (chargeback_state IN ('NEEDS_RESPONSE', 'UNDER_REVIEW', 'LOST', 'WON')),
    ADD COLUMN evidence_due_by timestamptz,
    ADD CONSTRAINT orders_platform_refund_check CHECK (platform_refund BETWEEN 0 AND refund_due);

-- Until now an order had one refund, and its id at the provider was the order's.
INSERT INTO refunds (id, order_id, amount, state, provider_id, created_at)
SELECT transaction.order_id, transaction.order_id, entry.amount, 'SUCCEEDED', '', transaction.at
FROM ledger_transactions AS transaction
JOIN ledger_entries AS entry ON entry.transaction_id = transaction.id
JOIN ledger_accounts AS account ON account.id = entry.account_id AND account.name = 'buyers'
WHERE starts_with(transaction.reference, 'refund:');

UPDATE orders SET refunded = coalesce((SELECT sum(amount) FROM refunds WHERE order_id = orders.id), 0)
WHERE refunded > 0;
UPDATE orders SET charged_back = coalesce(
    (SELECT sum(amount) FROM chargebacks WHERE order_id = orders.id AND state <> 'WON'), 0
)
WHERE charged_back > 0 OR id IN (SELECT order_id FROM chargebacks);
UPDATE orders SET chargeback_amount = newest.amount, chargeback_state = newest.state FROM (
    SELECT DISTINCT ON (order_id) order_id, amount, state FROM chargebacks
    ORDER BY order_id, state = 'NEEDS_RESPONSE' DESC, reported_at DESC, id DESC
) AS newest
WHERE newest.order_id = orders.id;

-- The part of a refund that a bank holds in the provider's place is what the bank holds now, not what it once held.
CREATE TEMPORARY TABLE mended ON COMMIT DROP AS
SELECT orders.id, least(charged_back, greatest(0, refund_due - refunded)) - charged_back - booked.amount AS amount
FROM orders JOIN (
    SELECT transaction.order_id, sum(entry.amount) AS amount
    FROM ledger_entries AS entry
    JOIN ledger_transactions AS transaction ON transaction.id = entry.transaction_id
    WHERE entry.account_id = (SELECT id FROM ledger_accounts WHERE name = 'chargebacks')
    GROUP BY transaction.order_id
) AS booked ON booked.order_id = orders.id;
DELETE FROM mended WHERE amount = 0;
INSERT INTO ledger_transactions (reference, order_id, at) SELECT 'mended:' || id, id, app_now() FROM mended;
INSERT INTO ledger_entries (transaction_id, account_id, amount)
SELECT transaction.id, account.id, CASE account.name WHEN 'chargebacks' THEN mended.amount ELSE -mended.amount END
FROM mended
JOIN ledger_transactions AS transaction ON transaction.reference = 'mended:' || mended.id
JOIN ledger_accounts AS account ON account.name IN ('chargebacks', 'refunds_due');

UPDATE orders SET payment_status = CASE
    WHEN refunded + least(charged_back, greatest(0, refund_due - refunded)) = 0 THEN 'CAPTURED'
    WHEN refunded + least(charged_back, greatest(0, refund_due - refunded)) < price THEN 'PARTIALLY_REFUNDED'
    ELSE 'REFUNDED'
END
WHERE payment_status IN ('CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED')
AND (id IN (SELECT id FROM mended) OR id IN (SELECT order_id FROM chargebacks));
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at)
SELECT 'payment', id, version, '{"task": "refund"}', app_now(), app_now() FROM orders
WHERE id IN (SELECT id FROM mended) AND refund_due - refunded - charged_back > 0
AND NOT EXISTS (SELECT FROM outbox WHERE topic = 'payment' AND key = orders.id::text);
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
