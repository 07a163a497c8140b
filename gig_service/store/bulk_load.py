"""Writes whole batches of gigs, for `make load-data`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gig_service.store.search_index import SearchIndex
from gig_service.store.vocabulary import Vocabulary
from servicekit.bulk_load import BulkLoad, CopyInto

SELLERS = CopyInto("sellers", "id, username, version, buyer_count, buyer_rating_sum")
GIGS = CopyInto(
    "gigs",
    "id, seller_id, title, description, category_id, tags, status, version, created_at, updated_at, rating_version,"
    " review_count, rating_sum, rating, document",
)
PACKAGES = CopyInto("packages", "id, gig_id, position, title, description, price, delivery_days, features, revisions")
SELLER_REVIEWS = CopyInto("seller_reviews", "seller_id, buyer_id, review_id, created_at, stars")
TABLES = ("sellers", "gigs", "packages", "seller_reviews", "search_rows", "words")


@dataclass(frozen=True, slots=True)
class GigRows:
    """The rows of a batch: lines of COPY's text format, with the columns above.

    `words` says how many of the gigs have each word. A gig's document and words are those of `domain.analysis`.
    """

    sellers: Sequence[str]
    gigs: Sequence[str]
    packages: Sequence[str]
    seller_reviews: Sequence[str]
    gig_ids: Sequence[str]
    words: Mapping[str, int]


def write(bulk: BulkLoad, rows: GigRows) -> None:
    """Store the rows, and all that searches read of them, in the caller's transaction."""
    bulk.copy(SELLERS, rows.sellers)
    bulk.copy(GIGS, rows.gigs)
    bulk.copy(PACKAGES, rows.packages)
    bulk.copy(SELLER_REVIEWS, rows.seller_reviews)
    SearchIndex(bulk.database).add_new(rows.gig_ids)
    Vocabulary(bulk.database).count(rows.words)
