"""Searches at a million gigs: which package is the cheapest of its gig, and an index for each way of reading.

Workers of an older version write rows without `is_cheapest`; a trigger adds it. Ours write it, and no trigger runs.
"""

from typing import Any

COLUMN = """
ALTER TABLE search_rows ADD COLUMN is_cheapest boolean;
UPDATE search_rows SET is_cheapest = NOT EXISTS (
    SELECT 1 FROM search_rows AS other WHERE other.gig_id = search_rows.gig_id
    AND (other.price, other.package_id) < (search_rows.price, search_rows.package_id)
);

CREATE FUNCTION mark_cheapest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE search_rows SET is_cheapest = package_id = (
        SELECT package_id FROM search_rows WHERE gig_id = NEW.gig_id ORDER BY price, package_id LIMIT 1
    ) WHERE gig_id = NEW.gig_id;
    RETURN NULL;
END $$;
CREATE TRIGGER search_rows_mark_cheapest AFTER INSERT ON search_rows
    FOR EACH ROW WHEN (NEW.is_cheapest IS NULL) EXECUTE FUNCTION mark_cheapest();
"""
SCOPES = {"all": "", "category": "category_id, ", "section": "section_id, "}
SORTS = {"rating": "rating, review_count, gig_id", "newest": "created_at, gig_id", "price": "price, gig_id"}


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(COLUMN)
    for scope, prefix in SCOPES.items():
        # One entry a gig: without filters of packages, a page is read in the order of one of these.
        for sort, columns in SORTS.items():
            db.execute_sql(f"DROP INDEX IF EXISTS search_rows_{scope}_{sort}")
            db.execute_sql(
                f"CREATE INDEX search_gigs_{scope}_{sort} ON search_rows ({prefix}{columns})"
                " WHERE status = 'ACTIVE' AND is_cheapest"
            )
        # One entry a package: for filters of packages in the order of the price, and to collect those of a range.
        db.execute_sql(
            f"CREATE INDEX search_packages_{scope} ON search_rows ({prefix}price, gig_id) INCLUDE (delivery_days)"
            " WHERE status = 'ACTIVE'"
        )
    db.execute_sql(
        "CREATE INDEX search_packages_delivery ON search_rows (delivery_days, category_id, price, gig_id)"
        " WHERE status = 'ACTIVE'"
    )
    # A rating changes no index of gigs: with room on the page the new row needs no entries in them.
    db.execute_sql("ALTER TABLE gigs SET (fillfactor = 90)")
    # The category beside the words: the gigs with a word in a category are found without those of other categories.
    db.execute_sql("CREATE INDEX gigs_search ON gigs USING gin (document, tags, (ARRAY[category_id]))")
    db.execute_sql("DROP INDEX IF EXISTS gigs_document; DROP INDEX IF EXISTS gigs_tags")
