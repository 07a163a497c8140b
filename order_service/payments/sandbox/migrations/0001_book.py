"""The sandbox's own book: cards' holds, what was taken and given back, sellers' payouts, and what it has to report."""

from typing import Any

UP = """
CREATE TABLE payments (
    order_id uuid PRIMARY KEY,
    reference text NOT NULL UNIQUE,
    token text NOT NULL,
    amount numeric(12, 2) NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    state text NOT NULL CHECK (state IN ('HELD', 'VOIDED', 'CAPTURED')),
    refunded numeric(12, 2) NOT NULL DEFAULT 0,
    charged_back numeric(12, 2) NOT NULL DEFAULT 0,
    held_until timestamptz NOT NULL,
    CHECK (refunded >= 0 AND charged_back >= 0 AND refunded + charged_back <= amount),
    CHECK (state = 'CAPTURED' OR refunded + charged_back = 0)
);

CREATE TABLE payouts (
    payout_id uuid PRIMARY KEY,
    reference text NOT NULL UNIQUE,
    amount numeric(16, 2) NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    destination text NOT NULL
);

-- Calls that have been heard once, for the tokens that let the first one time out.
CREATE TABLE heard (
    call text PRIMARY KEY
);

CREATE TABLE notices (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    dispute_id text NOT NULL,
    reference text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    state text NOT NULL CHECK (state IN ('OPEN', 'WON', 'LOST')),
    is_taken boolean NOT NULL DEFAULT false
);
CREATE INDEX notices_new ON notices (number) WHERE NOT is_taken;
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
