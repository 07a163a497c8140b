"""Files that people send each other, in messages and deliveries."""

from typing import Any

UP = """
CREATE TABLE files (
    id uuid PRIMARY KEY,
    owner_id uuid NOT NULL,
    -- The name in the storage. It tells nothing of the file.
    key text NOT NULL UNIQUE,
    name text NOT NULL,
    size integer NOT NULL CHECK (size > 0),
    type text NOT NULL,
    status text NOT NULL CHECK (status IN ('READY', 'CHECKING', 'REFUSED')),
    created_at timestamptz NOT NULL,
    -- The first time that it was sent. Null: never, and after a day it is removed.
    sent_at timestamptz
);
CREATE INDEX files_unsent ON files (created_at) WHERE sent_at IS NULL;
CREATE INDEX files_unsent_of_owner ON files (owner_id) WHERE sent_at IS NULL;
CREATE INDEX files_checking ON files (id) WHERE status = 'CHECKING';
CREATE INDEX files_owner ON files (owner_id, id);

-- The files of a message, in their order. A removed file is gone from all messages and deliveries.
CREATE TABLE message_files (
    message_id uuid NOT NULL REFERENCES messages,
    position integer NOT NULL,
    file_id uuid NOT NULL REFERENCES files ON DELETE CASCADE,
    PRIMARY KEY (message_id, position)
);
CREATE INDEX message_files_file ON message_files (file_id);

-- The files of a delivery: of a row of an order's history.
CREATE TABLE delivery_files (
    order_id uuid NOT NULL REFERENCES orders,
    version integer NOT NULL,
    position integer NOT NULL,
    file_id uuid NOT NULL REFERENCES files ON DELETE CASCADE,
    PRIMARY KEY (order_id, version, position)
);
CREATE INDEX delivery_files_file ON delivery_files (file_id);
"""


def up(_migrator: Any, db: Any) -> None:
    """Run by servicekit.migrations, in a transaction."""
    db.execute_sql(UP)
