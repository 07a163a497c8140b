"""Every review is reported to GigService, for its seller's badges: those that there are, and each new one.

It is a trigger so that it also works for reviews that a worker of an older version stores.
"""

from typing import Any

UP = """
CREATE FUNCTION reviews_report() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at)
    SELECT 'seller-review', review.id::text, 1, jsonb_build_object(
        'gig_id', review.gig_id, 'buyer_id', review.buyer_id, 'stars', review.stars, 'created_at', review.created_at
    ), now, now FROM added AS review, app_now() AS now;
    RETURN NULL;
END
$$;
CREATE TRIGGER reviews_added AFTER INSERT ON reviews REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION reviews_report();

-- The newest review of each buyer of a gig is enough. Creating the trigger has waited for every transaction that was
-- storing a review, so this statement sees the review, and the trigger sees all later ones.
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at)
SELECT 'seller-review', id::text, 1, jsonb_build_object(
    'gig_id', gig_id, 'buyer_id', buyer_id, 'stars', stars, 'created_at', created_at
), now, now FROM (
    SELECT DISTINCT ON (gig_id, buyer_id) * FROM reviews ORDER BY gig_id, buyer_id, created_at DESC, id DESC
) AS newest, app_now() AS now;
"""


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(UP)
