"""The time of each order's and payout's last change, and the runs of reconciliation."""

from typing import Any

UP = """
-- The time of the last change of the row, or of a record of the order. Triggers keep it, so that a change counts
-- whoever makes it. It is indexed: a run of reconciliation finds the changes since another run.
ALTER TABLE orders ADD COLUMN changed_at timestamptz NOT NULL DEFAULT app_now();
ALTER TABLE payouts ADD COLUMN changed_at timestamptz NOT NULL DEFAULT app_now();
CREATE INDEX orders_changed ON orders (changed_at);
CREATE INDEX payouts_changed ON payouts (changed_at);

CREATE FUNCTION set_changed_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := app_now();
    RETURN NEW;
END
$$;
CREATE TRIGGER changed BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION set_changed_at();
CREATE TRIGGER changed BEFORE UPDATE ON payouts FOR EACH ROW EXECUTE FUNCTION set_changed_at();

-- An order that has changed within the last minute is left alone: windows overlap by more than that.
CREATE FUNCTION order_has_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE orders SET changed_at = app_now()
    WHERE id IN (NEW.order_id, OLD.order_id) AND changed_at < app_now() - interval '1 minute';
    RETURN NULL;
END
$$;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON refunds
    FOR EACH ROW EXECUTE FUNCTION order_has_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON chargebacks
    FOR EACH ROW EXECUTE FUNCTION order_has_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON provider_fees
    FOR EACH ROW EXECUTE FUNCTION order_has_changed();
-- An event is inserted together with a change of its order.
CREATE TRIGGER changed AFTER UPDATE OR DELETE ON order_events
    FOR EACH ROW EXECUTE FUNCTION order_has_changed();

-- The ledger is written in the order of time, so that a small index by ranges of blocks is enough.
CREATE INDEX ledger_transactions_at ON ledger_transactions USING brin (at) WITH (autosummarize = on);

-- A run compares the records of a window of time. `since` is null for a window from the beginning.
CREATE TABLE reconciliation_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    since timestamptz,
    until timestamptz NOT NULL,
    -- Whether the window was named on the command line.
    is_explicit boolean NOT NULL,
    started_at timestamptz NOT NULL,
    -- The progress, from which an interrupted run goes on.
    ledger_reached bigint NOT NULL DEFAULT 0,
    payments_reached timestamptz,
    transfers_reached timestamptz,
    orders bigint NOT NULL DEFAULT 0,
    payouts bigint NOT NULL DEFAULT 0,
    pending bigint NOT NULL DEFAULT 0,
    -- Null while the run is not finished.
    finished_at timestamptz,
    differences bigint,
    -- The time until which everything was found clean, after a run without a difference that leaves no gap.
    clean_until timestamptz
);
CREATE UNIQUE INDEX reconciliation_runs_unfinished ON reconciliation_runs ((true)) WHERE finished_at IS NULL;
CREATE INDEX reconciliation_runs_clean ON reconciliation_runs (clean_until) WHERE clean_until IS NOT NULL;

-- The orders and payouts that the unfinished run has still to compare. One that only the provider knows has the time in
-- which the provider lists it.
CREATE TABLE reconciliation_work (
    kind text NOT NULL CHECK (kind IN ('order', 'payout')),
    id uuid NOT NULL,
    since timestamptz,
    until timestamptz,
    PRIMARY KEY (kind, id)
);
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
