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
