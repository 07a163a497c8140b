"""The start of an event's deliveries, as one call: it is sent with other writes, and nobody waits for its rows."""

from typing import Any

UP = """
-- Stores a delivery of an event, and its outbox row, for each endpoint that gets it. Most events have no endpoint: then
-- the outbox is not touched, since each INSERT there, of no row as well, wakes its relays.
CREATE FUNCTION add_webhook_deliveries(event_id uuid, event_type text, buyer uuid, seller uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    now timestamptz := app_now();
    added uuid[];
BEGIN
    WITH deliveries AS (
        INSERT INTO webhook_deliveries AS delivery (endpoint_id, event_id, created_at, next_at)
        SELECT endpoint.id, add_webhook_deliveries.event_id, now, now FROM webhook_endpoints AS endpoint
        WHERE (owner_id IN (buyer, seller) OR is_admin) AND deleted_at IS NULL
            AND status = 'ENABLED' AND (types = '{}' OR event_type = ANY (types))
        RETURNING delivery.id
    )
    SELECT array_agg(id) INTO added FROM deliveries;
    IF added IS NOT NULL THEN
        INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at)
        SELECT 'webhook', id::text, 1, '{}', now, now FROM unnest(added) AS id;
    END IF;
END
$$;
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
