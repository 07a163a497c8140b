"""A sample of the gigs for searches by words and tags: an index of one gig of sixteen, by the last bits of its id.

Writes to gigs wait while it is made: two seconds for a million gigs. Where that takes too long, it is made before, with
CREATE INDEX CONCURRENTLY.
"""

from typing import Any

UP = """
CREATE INDEX IF NOT EXISTS gigs_search_sample ON gigs USING gin (document, tags, (ARRAY[category_id]))
WHERE get_byte(uuid_send(id), 15) & 15 = 0
"""


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(UP)
