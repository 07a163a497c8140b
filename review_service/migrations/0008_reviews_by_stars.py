"""The reviews of a gig by their stars, many or few first, and those with one number of stars.

Of the same number of stars the newest come first in both orders, so each order needs an index of its own.
"""

from typing import Any

UP = """
CREATE INDEX reviews_gig_stars ON reviews (gig_id, stars, created_at, id);
CREATE INDEX reviews_gig_few_stars ON reviews (gig_id, (-stars), created_at, id);
"""


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this in a transaction."""
    db.execute_sql(UP)
