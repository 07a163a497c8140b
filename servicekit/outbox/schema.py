"""The outbox's table. For services' migrations, which must always do the same: never changed, only followed by another.

A service takes all of them, in this order.
"""

# What relays listen for. A database has one outbox, and a channel is a database's own.
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

# Parking, and a call to all relays with every commit that has written rows. The trigger does it whoever writes: also a
# worker of an older version, and a person with psql.
SCHEMA_2 = """
ALTER TABLE outbox
    -- How often the receiver has refused the row since it last took one of this key.
    ADD COLUMN refusals integer NOT NULL DEFAULT 0,
    -- What the last attempt failed with.
    ADD COLUMN error text NOT NULL DEFAULT '',
    -- Not to be sent until somebody says so. next_attempt_at is then 'infinity', for workers of an older version.
    ADD COLUMN parked_at timestamptz;

CREATE FUNCTION outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('outbox', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER outbox_added AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_notify();
"""
