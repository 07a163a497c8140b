"""The ledger: what moved money, from where to where. See docs/money.md."""

from typing import Any

UP = """
-- Where money can be. Those of sellers there are once a seller, the others once.
CREATE TABLE ledger_accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner uuid,
    name text NOT NULL,
    is_sellers boolean NOT NULL GENERATED ALWAYS AS (owner IS NOT NULL) STORED,
    CHECK (
        name IN ('escrow', 'available', 'paying_out', 'paid_out') AND owner IS NOT NULL
        OR name IN ('buyers', 'escrow_commission', 'commission', 'refunds_due', 'chargebacks') AND owner IS NULL
    ),
    UNIQUE NULLS NOT DISTINCT (owner, name),
    UNIQUE (id, is_sellers)
);
INSERT INTO ledger_accounts (name)
VALUES ('buyers'), ('escrow_commission'), ('commission'), ('refunds_due'), ('chargebacks');

CREATE TABLE ledger_transactions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Of what it stands for, which is posted once.
    reference text NOT NULL UNIQUE,
    order_id uuid,
    payout_id uuid,
    at timestamptz NOT NULL
);
CREATE INDEX ledger_transactions_order ON ledger_transactions (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX ledger_transactions_payout ON ledger_transactions (payout_id) WHERE payout_id IS NOT NULL;

-- The entries of a seller's account are numbered, and each carries the account's balance after it. That this is the sum
-- of all entries so far is no matter of trust: the first begins from nothing, each adds its amount to the balance that
-- the foreign key finds at the one before it, and there is one of each number. The platform's own accounts, which every
-- transaction touches, have no such chain, so that nobody queues for them.
CREATE TABLE ledger_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id bigint NOT NULL REFERENCES ledger_transactions (id),
    account_id bigint NOT NULL,
    amount numeric(16, 2) NOT NULL CHECK (amount <> 0),
    kind text CHECK (kind IN ('SALE', 'REFUND', 'COMMISSION', 'PAYOUT', 'PAYOUT_FAILED')),
    number bigint CHECK (number > 0),
    balance_before numeric(16, 2),
    balance numeric(16, 2) CHECK (balance >= 0),
    is_sellers boolean NOT NULL GENERATED ALWAYS AS (number IS NOT NULL) STORED,
    number_before bigint GENERATED ALWAYS AS (nullif(number - 1, 0)) STORED,
    CHECK (num_nulls(number, balance_before, balance) IN (0, 3)),
    CHECK (balance = balance_before + amount),
    CHECK (number <> 1 OR balance_before = 0),
    UNIQUE (account_id, number),
    UNIQUE (account_id, number, balance),
    FOREIGN KEY (account_id, is_sellers) REFERENCES ledger_accounts (id, is_sellers),
    FOREIGN KEY (account_id, number_before, balance_before) REFERENCES ledger_entries (account_id, number, balance)
);
CREATE INDEX ledger_entries_transaction ON ledger_entries (transaction_id);

CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: %% is not for %%', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_transactions
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();

-- At the commit, when all of a transaction is there. A transaction without entries sums to nothing at all.
CREATE FUNCTION ledger_sums_to_zero() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    checked bigint := (to_jsonb(NEW) ->> TG_ARGV[0])::bigint;
BEGIN
    IF (SELECT coalesce(sum(amount), 1) FROM ledger_entries WHERE transaction_id = checked) <> 0 THEN
        RAISE EXCEPTION 'transaction %% of the ledger does not sum to zero', checked
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER sums_to_zero AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_sums_to_zero('transaction_id');
CREATE CONSTRAINT TRIGGER sums_to_zero AFTER INSERT ON ledger_transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_sums_to_zero('id');

CREATE TABLE payouts (
    id uuid PRIMARY KEY,
    seller_id uuid NOT NULL,
    amount numeric(16, 2) NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    status text NOT NULL CHECK (status IN ('PENDING', 'PAID', 'FAILED')),
    destination text NOT NULL,
    -- The provider's own name for it, and why it was refused.
    reference text NOT NULL DEFAULT '',
    error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX payouts_seller ON payouts (seller_id, created_at, id);
CREATE INDEX payouts_created ON payouts (created_at, id);

CREATE TABLE payout_accounts (
    seller_id uuid PRIMARY KEY,
    destination text NOT NULL,
    updated_at timestamptz NOT NULL
);
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
