"""Conversations, messages and blocks, and the events that tell of messages and offers."""

from typing import Any

UP = """
-- The names of people, as their latest access token had them.
CREATE TABLE people (
    id uuid PRIMARY KEY,
    username text NOT NULL
);

CREATE TABLE conversations (
    id uuid PRIMARY KEY,
    -- The one who started it, and the owner of the gig that it was about.
    starter_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    gig_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    -- The newest message: its number, from 1 on, and its time.
    last_number integer NOT NULL CHECK (last_number > 0),
    last_at timestamptz NOT NULL,
    -- How many messages each side has written, and how many of the other's it has marked as read.
    starter_wrote integer NOT NULL,
    owner_wrote integer NOT NULL,
    starter_read integer NOT NULL DEFAULT 0,
    owner_read integer NOT NULL DEFAULT 0,
    CHECK (starter_id <> owner_id),
    CHECK (starter_wrote + owner_wrote = last_number),
    CHECK (starter_read BETWEEN 0 AND owner_wrote AND owner_read BETWEEN 0 AND starter_wrote)
);
-- Two people have one.
CREATE UNIQUE INDEX conversations_pair
    ON conversations (least(starter_id, owner_id), greatest(starter_id, owner_id));
CREATE INDEX conversations_starter ON conversations (starter_id, last_at, id);
CREATE INDEX conversations_owner ON conversations (owner_id, last_at, id);

CREATE TABLE messages (
    id uuid PRIMARY KEY,
    conversation_id uuid NOT NULL REFERENCES conversations,
    number integer NOT NULL,
    from_id uuid NOT NULL,
    text text NOT NULL,
    order_id uuid,
    offer_id uuid,
    at timestamptz NOT NULL,
    is_removed boolean NOT NULL DEFAULT false,
    -- How many messages each side had written with this one: a mark of reading is one of these numbers.
    starter_wrote integer NOT NULL,
    owner_wrote integer NOT NULL,
    UNIQUE (conversation_id, number),
    CHECK (NOT is_removed OR text = '')
);

CREATE TABLE blocks (
    blocker_id uuid NOT NULL,
    blocked_id uuid NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (blocker_id, blocked_id),
    CHECK (blocker_id <> blocked_id)
);
CREATE INDEX blocks_since ON blocks (blocker_id, since, blocked_id);

-- Token buckets: what a user may still do at once, and the time for which that holds. Without a row one is full.
CREATE TABLE token_buckets (
    user_id uuid NOT NULL,
    kind text NOT NULL,
    tokens double precision NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (user_id, kind)
);

-- An event of a message or an offer is one of a conversation. Its sides are the starter, as `buyer_id`, and the owner,
-- as `seller_id`; of an offer's, its own buyer and seller. A message is read from its own row: `subject` is null.
ALTER TABLE events
    ADD COLUMN conversation_id uuid,
    ADD COLUMN message_id uuid,
    ADD COLUMN offer_id uuid,
    -- It stands neither in the feed nor in a delivery, and tells the watches of its people, or of `reader_id` alone.
    ADD COLUMN is_internal boolean NOT NULL DEFAULT false,
    ADD COLUMN reader_id uuid;
ALTER TABLE events ALTER COLUMN subject DROP NOT NULL;
ALTER TABLE events DROP CONSTRAINT events_check;
ALTER TABLE events DROP CONSTRAINT events_check1;
-- NOT VALID: old rows met stricter conditions, and reading them all would hold up every order.
ALTER TABLE events ADD CONSTRAINT events_subject CHECK (
    num_nonnulls(order_id, payout_id, conversation_id) = 1 AND num_nonnulls(subject, message_id) > 0
) NOT VALID;
ALTER TABLE events ADD CONSTRAINT events_order CHECK (num_nonnulls(order_id, version) IN (0, 2)) NOT VALID;
ALTER TABLE events ADD CONSTRAINT events_sides
    CHECK (num_nonnulls(buyer_id, coalesce(order_id, conversation_id)) IN (0, 2)) NOT VALID;
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
