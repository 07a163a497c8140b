"""Reviews, and the counts of each gig's stars."""

from typing import Any

UP = """
CREATE TABLE reviews (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT one_review_an_order UNIQUE,
    gig_id uuid NOT NULL,
    buyer_id uuid NOT NULL,
    buyer_name text NOT NULL,
    stars smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    comment text NOT NULL,
    created_at timestamptz NOT NULL
);

-- The reviews of a gig, newest first.
CREATE INDEX reviews_gig ON reviews (gig_id, created_at, id);

-- One row a gig, counted up in the transaction of the review, under the row's lock.
CREATE TABLE gig_ratings (
    gig_id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    stars_1 integer NOT NULL,
    stars_2 integer NOT NULL,
    stars_3 integer NOT NULL,
    stars_4 integer NOT NULL,
    stars_5 integer NOT NULL
);
"""


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(UP)
