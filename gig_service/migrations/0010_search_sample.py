"""Indexes for searches by words: a sample of the gigs, and the delivery time beside the price of a gig's packages.

The sample is one gig of sixteen, by the last bits of its id.
"""

from typing import Any

from servicekit.migrations import build_index

atomic = False


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this without a transaction."""
    build_index(
        db,
        "gigs_search_sample",
        "gigs USING gin (document, tags, (ARRAY[category_id])) WHERE get_byte(uuid_send(id), 15) & 15 = 0",
    )
    # Whether a package meets the filters is read from its entry, without its row.
    build_index(db, "search_rows_packages", "search_rows (gig_id, price, package_id) INCLUDE (delivery_days)")
    db.execute_sql("DROP INDEX CONCURRENTLY IF EXISTS search_rows_gig")
