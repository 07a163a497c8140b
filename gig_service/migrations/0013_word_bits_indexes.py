"""Indexes with the bits of words: of the rows that have none yet, and of each order that a search walks."""

from typing import Any

from servicekit.migrations import build_index, replace_index

atomic = False

SCOPES = {"all": "", "category": "category_id, ", "section": "section_id, "}
SORTS = {"rating": "rating, review_count, gig_id", "newest": "created_at, gig_id"}


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this without a transaction."""
    build_index(db, "search_rows_without_bits", "search_rows (gig_id) WHERE word_bits IS NULL")
    for scope, prefix in SCOPES.items():
        for sort, columns in SORTS.items():
            replace_index(
                db,
                f"search_gigs_{scope}_{sort}",
                f"search_rows ({prefix}{columns}) INCLUDE (word_bits) WHERE status = 'ACTIVE' AND is_cheapest",
            )
