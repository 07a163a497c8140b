"""Indexes for searches by words: a sample of the gigs, and the delivery time beside the price of a gig's packages.

The sample is one gig of sixteen, by the last bits of its id. Writes wait while the indexes are made: ten seconds for a
million gigs with three million packages. Where that takes too long, they are made before, with CREATE INDEX
CONCURRENTLY.
"""

from typing import Any

UP = """
CREATE INDEX IF NOT EXISTS gigs_search_sample ON gigs USING gin (document, tags, (ARRAY[category_id]))
WHERE get_byte(uuid_send(id), 15) & 15 = 0;
-- Whether a package meets the filters is read from its entry, without its row.
CREATE INDEX IF NOT EXISTS search_rows_packages ON search_rows (gig_id, price, package_id) INCLUDE (delivery_days);
DROP INDEX search_rows_gig;
"""


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(UP)
