"""Webhook endpoints, and the deliveries of events to them."""

from typing import Any

UP = """
CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    owner_id uuid NOT NULL,
    -- Whether the owner had the role `admin` when they made it: it gets all events.
    is_admin boolean NOT NULL,
    url text NOT NULL,
    -- The types of the events that are sent; empty for all.
    types text[] NOT NULL,
    status text NOT NULL CHECK (status IN ('ENABLED', 'DISABLED')),
    -- Encrypted with the key of WEBHOOK_KEYS that has this digest.
    secret text NOT NULL,
    secret_key text NOT NULL,
    created_at timestamptz NOT NULL,
    -- A deleted endpoint stays until its deliveries are swept.
    deleted_at timestamptz
);
CREATE INDEX webhook_endpoints_owner ON webhook_endpoints (owner_id) WHERE deleted_at IS NULL;
CREATE INDEX webhook_endpoints_admins ON webhook_endpoints (id) WHERE is_admin AND deleted_at IS NULL;
CREATE INDEX webhook_endpoints_deleted ON webhook_endpoints (deleted_at) WHERE deleted_at IS NOT NULL;

-- Without foreign keys: the transaction of an event must not wait for somebody who deletes an endpoint.
CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    endpoint_id uuid NOT NULL,
    event_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'DELIVERED', 'FAILED')),
    -- Grows with each retry that a user asks for; only the outbox row of this version is sent.
    round integer NOT NULL DEFAULT 1,
    -- Whether a user has asked to send it again, and that attempt is not over yet.
    is_retry boolean NOT NULL DEFAULT false,
    -- Of all rounds, and of this one.
    attempts integer NOT NULL DEFAULT 0,
    round_attempts integer NOT NULL DEFAULT 0,
    -- The time of this round's first attempt.
    tried_since timestamptz,
    -- The HTTP status code of the last attempt; NULL when there was no response.
    last_status integer,
    created_at timestamptz NOT NULL,
    next_at timestamptz,
    CHECK ((next_at IS NULL) = (status <> 'PENDING'))
);
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (created_at);
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
