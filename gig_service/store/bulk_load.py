"""Writes whole batches of gigs, for `make load-data`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gig_service.store import search_index
from servicekit.bulk_load import BulkLoad, CopyInto

SELLERS = CopyInto("sellers", "id, username, version, buyer_count, buyer_rating_sum")
GIGS = CopyInto(
    "gigs",
    "id, seller_id, title, description, category_id, tags, status, version, created_at, updated_at, rating_version,"
    " review_count, rating_sum, rating, document",
)
PACKAGES = CopyInto(
    "packages", "id, gig_id, position, title, description, price, delivery_days, features, revisions, extras"
)
SELLER_REVIEWS = CopyInto("seller_reviews", "seller_id, buyer_id, review_id, created_at, stars")
SEARCH_ROWS = CopyInto("search_rows", search_index.COLUMNS)
WORDS = CopyInto("load_data.words", "word, gigs")
TABLES = ("sellers", "gigs", "packages", "seller_reviews", "search_rows", "words")
# Its trigger looks for gigs without a document, and one that runs before each row makes COPY write row by row.
ANALYSED = ("gigs",)

SCHEMA = """
-- How many gigs of each batch have each word, until they are added to the counts in `words`.
CREATE TABLE IF NOT EXISTS load_data.words (
    word text NOT NULL,
    gigs integer NOT NULL
);
"""
# In the order of words, as other writers count them.
COUNT_WORDS = """
WITH counted AS (DELETE FROM load_data.words RETURNING word, gigs)
INSERT INTO words (word, gigs) SELECT word, sum(gigs) FROM counted GROUP BY word ORDER BY word
ON CONFLICT (word) DO UPDATE SET gigs = words.gigs + excluded.gigs
"""


@dataclass(frozen=True, slots=True)
class GigRows:
    """The rows of a batch: lines of COPY's text format, with the columns above.

    `words` says how many of the gigs have each word. A gig's document and words are those of `domain.analysis`.
    """

    sellers: Sequence[str]
    gigs: Sequence[str]
    packages: Sequence[str]
    seller_reviews: Sequence[str]
    search_rows: Sequence[str]
    words: Mapping[str, int]


def prepare(bulk: BulkLoad) -> None:
    """Create the table that `write` collects words in, where it is missing."""
    with bulk.database.transaction():
        bulk.database.execute(SCHEMA)


def write(bulk: BulkLoad, rows: GigRows) -> None:
    """Store the rows, and all that searches read of them but for words, in the caller's transaction."""
    bulk.copy(WORDS, [f"{word}\t{gigs}" for word, gigs in rows.words.items()])
    bulk.copy(SELLERS, rows.sellers)
    bulk.copy(SELLER_REVIEWS, rows.seller_reviews)
    bulk.copy(SEARCH_ROWS, rows.search_rows)
    bulk.without_triggers(ANALYSED)
    bulk.copy(GIGS, rows.gigs)
    bulk.with_triggers(ANALYSED)
    bulk.copy(PACKAGES, rows.packages)


def count_words(bulk: BulkLoad) -> None:
    """Add the words of all batches to the counts. A load that was killed before leaves this to the next one."""
    with bulk.database.transaction():
        bulk.database.execute(COUNT_WORDS)
