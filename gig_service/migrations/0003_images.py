"""Images of gigs, and the outbox through which the files of deleted images are deleted."""

from typing import Any

from servicekit.outbox import SCHEMA_1

IMAGES = """
create table images (
    id uuid primary key,
    gig_id uuid not null references gigs,
    -- Grows in the order in which a gig's images were added.
    position integer not null,
    -- Where the storage has the picture and its thumbnail.
    key text not null unique,
    thumbnail_key text not null unique,
    is_primary boolean not null,
    unique (gig_id, position)
);
-- Never two; that there is one while there are images is for the rules to see to.
create unique index images_primary on images (gig_id) where is_primary;

-- That of the primary image, so that a search reads no other table for it; empty without images.
alter table gigs add column thumbnail_key text not null default '';
"""


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(IMAGES)
    db.execute_sql(SCHEMA_1)
