"""The tables that searches read, in step with the gigs: every write of a gig or a package ends here."""

from uuid import UUID

from servicekit.database import Database, Statement

REMOVE = Statement("DELETE FROM search_rows WHERE gig_id = $1")
ADD = Statement("""
    INSERT INTO search_rows
        (package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count,
         created_at)
    SELECT p.id, g.id, g.seller_id, g.status, g.category_id, coalesce(c.parent_id, c.id), p.price, p.delivery_days,
        g.rating, g.review_count, g.created_at
    FROM gigs AS g JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id
    WHERE g.id = $1 AND g.deleted_at IS NULL
""")


class SearchIndex:
    """The rows of `search_rows`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def refresh(self, gig_id: UUID) -> None:
        """Write a gig's search rows anew, after a change of its filters or sort keys; a deleted gig has none."""
        self._database.fetch_all(REMOVE, gig_id)
        self._database.fetch_all(ADD, gig_id)
