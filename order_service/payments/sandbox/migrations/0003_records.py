"""Refunds, chargebacks and fees as records with an id and a state, and events that hold a whole report.

The columns and the table that they replace are dropped at once: a worker of the old version would write there what the
new one never reads. It gets an error instead, and repeats its call later.
"""

from typing import Any

UP = """
ALTER TABLE payments ADD COLUMN created_at timestamptz NOT NULL DEFAULT app_now();
UPDATE payments SET created_at = held_until - interval '7 days';
-- The time of the first request for a refund, for the card whose refunds wait.
ALTER TABLE payments ADD COLUMN refund_requested_at timestamptz;
CREATE INDEX payments_by_time ON payments (created_at, order_id);
CREATE INDEX payments_charged_back_late ON payments (order_id) WHERE token = 'sandbox_chargeback_late';

ALTER TABLE payouts
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT app_now(),
    ADD COLUMN reversed numeric(16, 2) NOT NULL DEFAULT 0,
    ADD CHECK (reversed BETWEEN 0 AND amount);
CREATE INDEX payouts_by_time ON payouts (created_at, payout_id);

CREATE TABLE refunds (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    -- OrderService's id; NULL for a refund that was made by hand.
    refund_id uuid UNIQUE,
    order_id uuid NOT NULL REFERENCES payments,
    amount numeric(12, 2) NOT NULL CHECK (amount > 0),
    state text NOT NULL CHECK (state IN ('PENDING', 'SUCCEEDED', 'FAILED')),
    fails_at timestamptz
);
CREATE INDEX refunds_of_a_payment ON refunds (order_id);
CREATE INDEX refunds_due ON refunds (fails_at) WHERE fails_at IS NOT NULL;

CREATE TABLE chargebacks (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    order_id uuid NOT NULL REFERENCES payments,
    amount numeric(12, 2) NOT NULL CHECK (amount > 0),
    state text NOT NULL CHECK (state IN ('NEEDS_RESPONSE', 'UNDER_REVIEW', 'LOST', 'WON')),
    evidence_due_by timestamptz,
    -- The bank's decision and its time, for the cards that name one.
    decision text CHECK (decision IN ('LOST', 'WON')),
    decided_at timestamptz
);
CREATE INDEX chargebacks_of_a_payment ON chargebacks (order_id);
CREATE INDEX chargebacks_due ON chargebacks (decided_at) WHERE decided_at IS NOT NULL;

CREATE TABLE fees (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    order_id uuid NOT NULL REFERENCES payments,
    amount numeric(12, 2) NOT NULL CHECK (amount > 0)
);
CREATE INDEX fees_of_a_payment ON fees (order_id);

CREATE TABLE events (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    -- A PaymentReport or a TransferReport, as it was at the time of the event.
    report jsonb NOT NULL,
    is_taken boolean NOT NULL DEFAULT false
);
CREATE INDEX events_new ON events (number) WHERE NOT is_taken;

-- An order had one refund at most, and its id was the order's.
INSERT INTO refunds (id, refund_id, order_id, amount, state)
SELECT 'refund_' || reference, order_id, order_id, refunded, 'SUCCEEDED'
FROM payments WHERE refunded > 0 ORDER BY held_until;

-- A payment had one chargeback at most. `charged_back` is 0 again when it is won.
INSERT INTO chargebacks (id, order_id, amount, state)
SELECT
    latest.dispute_id,
    payments.order_id,
    CASE WHEN payments.charged_back > 0 THEN payments.charged_back ELSE latest.amount END,
    CASE
        WHEN payments.charged_back = 0 THEN 'WON'
        WHEN latest.state = 'LOST' THEN 'LOST'
        ELSE 'NEEDS_RESPONSE'
    END
FROM payments JOIN (
    SELECT DISTINCT ON (dispute_id) dispute_id, reference, amount, state FROM notices ORDER BY dispute_id, number DESC
) AS latest USING (reference);

INSERT INTO events (event_id, report, is_taken)
SELECT
    event_id,
    jsonb_build_object('reference', reference, 'chargebacks', jsonb_build_array(jsonb_build_object(
        'id', dispute_id,
        'amount', amount::text,
        'state', CASE state WHEN 'OPEN' THEN 'NEEDS_RESPONSE' ELSE state END
    ))),
    is_taken
FROM notices ORDER BY number;

DROP TABLE notices;
ALTER TABLE payments DROP COLUMN refunded, DROP COLUMN charged_back;

-- Payments with their PaymentReport as JSON.
CREATE VIEW payment_reports AS
SELECT
    order_id, reference, created_at, amount, state,
    jsonb_build_object(
        'reference', reference,
        'refunds', COALESCE((
            SELECT jsonb_agg(
                jsonb_build_object('id', id, 'refund_id', refund_id, 'amount', amount::text, 'state', state)
                ORDER BY number)
            FROM refunds WHERE refunds.order_id = payments.order_id), '[]'),
        'chargebacks', COALESCE((
            SELECT jsonb_agg(
                jsonb_build_object(
                    'id', id, 'amount', amount::text, 'state', state, 'evidence_due_by', evidence_due_by)
                ORDER BY number)
            FROM chargebacks WHERE chargebacks.order_id = payments.order_id), '[]'),
        'fees', COALESCE((
            SELECT jsonb_agg(jsonb_build_object('id', id, 'amount', amount::text) ORDER BY number)
            FROM fees WHERE fees.order_id = payments.order_id), '[]')
    ) AS report
FROM payments;
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
