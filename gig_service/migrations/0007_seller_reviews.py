"""Badges count each buyer once: the newest review of each buyer of a seller, and the totals of these.

ReviewService sends its reviews anew after its migration 0006, and every badge is earned again by them. The old totals
stay for workers of an older version.
"""

from typing import Any

UP = """
CREATE TABLE seller_reviews (
    seller_id uuid NOT NULL REFERENCES sellers,
    buyer_id uuid NOT NULL,
    review_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    stars smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    PRIMARY KEY (seller_id, buyer_id)
);
ALTER TABLE sellers
    -- Of the seller's rows in seller_reviews.
    ADD COLUMN buyer_count integer NOT NULL DEFAULT 0,
    ADD COLUMN buyer_rating_sum bigint NOT NULL DEFAULT 0;
-- Cached pages of sellers who may have had a badge are stale.
UPDATE sellers SET version = version + 1 WHERE review_count >= 3;
"""


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(UP)
