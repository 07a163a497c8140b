"""The tables that searches read, in step with the gigs: every write of a gig or a package ends here."""

from uuid import UUID

from servicekit.database import Database, Statement
from servicekit.periodic import PeriodicTask


def _qualified(row: str, columns: str) -> str:
    return ", ".join(f"{row}.{column}" for column in columns.split(", "))


# The rows of gigs, as they have to be. The cheapest package of a gig has the smaller id of two equally cheap ones. Bits
# of words that are there stay, since making them takes 0.1 ms: a trigger of `gigs` keeps them right.
_ROWS = """
    SELECT p.id AS package_id, g.id AS gig_id, g.seller_id, g.status, g.category_id,
        coalesce(c.parent_id, c.id) AS section_id, p.price, p.delivery_days, g.rating, g.review_count, g.created_at,
        row_number() OVER (PARTITION BY g.id ORDER BY p.price, p.id) = 1 AS is_cheapest, b.word_bits
    FROM gigs AS g CROSS JOIN LATERAL (
        SELECT coalesce(
            (SELECT word_bits FROM search_rows WHERE gig_id = g.id AND word_bits IS NOT NULL LIMIT 1),
            word_bits(tsvector_to_array(g.document))
        ) AS word_bits OFFSET 0
    ) AS b JOIN packages AS p ON p.gig_id = g.id JOIN categories AS c ON c.id = g.category_id
    WHERE g.deleted_at IS NULL
"""
COLUMNS = (
    "package_id, gig_id, seller_id, status, category_id, section_id, price, delivery_days, rating, review_count,"
    " created_at, is_cheapest, word_bits"
)
_CHANGING = "status, category_id, section_id, price, delivery_days, rating, review_count, is_cheapest, word_bits"
# Gigs that are being written get their bits by that.
FILL = Statement("""
    WITH taken AS (
        SELECT g.id, word_bits(tsvector_to_array(g.document)) AS word_bits
        FROM (SELECT DISTINCT gig_id FROM search_rows WHERE word_bits IS NULL ORDER BY gig_id LIMIT $1) AS missing
        JOIN gigs AS g ON g.id = missing.gig_id FOR NO KEY UPDATE OF g SKIP LOCKED
    )
    UPDATE search_rows AS s SET word_bits = taken.word_bits FROM taken WHERE s.gig_id = taken.id RETURNING s.gig_id
""")
# The gigs that are given bits in one transaction, which locks them, and the pause between two looks for more.
FILLED = 100
FILL_SECONDS = 5.0
# Rows that are right already are not written.
REFRESH = Statement(f"""
    WITH rows AS MATERIALIZED ({_ROWS} AND g.id = $1), gone AS (
        DELETE FROM search_rows WHERE gig_id = $1 AND package_id NOT IN (SELECT package_id FROM rows)
    )
    INSERT INTO search_rows AS stored ({COLUMNS}) SELECT * FROM rows
    ON CONFLICT (package_id) DO UPDATE SET ({_CHANGING}) = ({_qualified("excluded", _CHANGING)})
    WHERE ({_qualified("stored", _CHANGING)}) IS DISTINCT FROM ({_qualified("excluded", _CHANGING)})
""")


class SearchIndex:
    """The rows of `search_rows`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def refresh(self, gig_id: UUID) -> None:
        """Bring a gig's search rows up to date, after a change of its filters or sort keys; a deleted gig has none."""
        self._database.fetch_all(REFRESH, gig_id)

    def fill_word_bits(self) -> int:
        """Give some rows their word bits that have none; return the number of rows."""
        return len(self._database.fetch_tuples(FILL, FILLED))


def word_bits_task(database: Database) -> PeriodicTask:
    """Return the task that gives rows their word bits, some in each transaction, until none is without."""
    index = SearchIndex(database)

    def fill_all() -> None:
        while index.fill_word_bits():
            pass

    return PeriodicTask("word bits of gigs", fill_all, FILL_SECONDS, database)
