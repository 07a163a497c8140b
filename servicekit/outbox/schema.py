"""The outbox's table, for the services' migrations: each service runs all of these, in this order.

A migration must always do the same, so these are never changed, only followed by another.
"""

# The channel on which relays listen. Channels belong to one database, and a database has one outbox.
CHANNEL = "outbox"

SCHEMA_1 = """
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key text NOT NULL,
    version bigint NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL
);
CREATE INDEX outbox_key ON outbox (topic, key, id);
CREATE INDEX outbox_due ON outbox (next_attempt_at, id);
"""

# Adds parking, and notifies all relays of every commit that writes rows. It is a trigger so that it also works for rows
# of a worker of an older version and of a person with psql.
SCHEMA_2 = """
ALTER TABLE outbox
    -- The receiver's refusals since it last accepted a row of this key.
    ADD COLUMN refusals integer NOT NULL DEFAULT 0,
    -- The error of the last delivery.
    ADD COLUMN error text NOT NULL DEFAULT '',
    -- Set while the row is not to be sent. next_attempt_at is then 'infinity', for workers of an older version.
    ADD COLUMN parked_at timestamptz;

CREATE FUNCTION outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('outbox', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER outbox_added AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_notify();
"""

# Lets a relay find the next row of a topic with one short index scan, however many rows wait behind others of their key
# and whatever the planner knows of the table. A relay sets `is_behind` when it meets such a row. The trigger clears it
# on the row that is then its key's first; it is a trigger so that it also works for rows that a worker of an older
# version deletes, or a person with psql.
SCHEMA_3 = """
-- Whether the row waits behind an earlier row of its key. A row that waits may not be marked yet; a first row never is.
ALTER TABLE outbox ADD COLUMN is_behind boolean NOT NULL DEFAULT false;
DROP INDEX outbox_due;
CREATE INDEX outbox_ready ON outbox (topic, next_attempt_at, id) WHERE NOT is_behind AND parked_at IS NULL;

-- Row comparisons instead of equality, and the settings, leave the planner one index, whatever it knows of the table.
CREATE FUNCTION outbox_promote() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    gone record;
BEGIN
    FOR gone IN SELECT DISTINCT topic, key FROM deleted LOOP
        UPDATE outbox SET is_behind = false WHERE is_behind AND id = (
            SELECT item.id FROM outbox AS item
            WHERE (item.topic, item.key, item.id) > (gone.topic, gone.key, 0)
                AND (item.topic, item.key, item.id) < (gone.topic, gone.key, 9223372036854775807)
            ORDER BY item.topic, item.key, item.id LIMIT 1 FOR UPDATE
        );
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER outbox_deleted AFTER DELETE ON outbox REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_promote();
"""
