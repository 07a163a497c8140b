"""What GigService knows of a user: their gigs, their name, and words of their texts."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from gig_service.domain.analysis import stem
from servicekit.database import Database, Statement
from servicekit.personal_data import ERASED, IDEMPOTENCY_KEYS, Records

_OF_GIGS = "gig_id IN (SELECT id FROM gigs WHERE seller_id = $1)"

# The gigs are deleted before, as their owner deletes them: with their images, and out of all searches.
RECORDS = (
    Records("seller", "sellers", "id = $1", shown="username, buyer_count, buyer_rating_sum",
            erased={"username": f"'{ERASED}'"}),
    Records(
        "gigs",
        "gigs",
        "seller_id = $1",
        shown="id, title, description, category_id, tags, status, rating, review_count, created_at, updated_at,"
        " deleted_at",
        erased={"title": f"'{ERASED}'", "description": "''", "tags": "'{}'", "document": "''", "thumbnail_key": "''"},
    ),
    Records(
        "packages",
        "packages",
        _OF_GIGS,
        shown="id, gig_id, title, description, price, delivery_days, features, revisions, extras",
        order="gig_id, position",
        is_deleted=True,
    ),
    Records("images", "images", _OF_GIGS, shown="id, gig_id, is_primary", order="gig_id, position"),
    Records(
        "ratings_given", "seller_reviews", "buyer_id = $1", key="seller_id, buyer_id",
        shown="seller_id, review_id, stars, created_at",
    ),
    Records(
        "ratings_received", "seller_reviews", "seller_id = $1", key="seller_id, buyer_id",
        shown="review_id, stars, created_at",
    ),
    IDEMPOTENCY_KEYS,
)  # fmt: skip

# Tables with words of the gigs.
DERIVED = ("words",)

GIGS = Statement("SELECT id FROM gigs WHERE seller_id = $1 AND deleted_at IS NULL ORDER BY id")
WITH_TEXTS = Statement("SELECT id FROM gigs WHERE seller_id = $1 AND title <> $2 ORDER BY id")
KEYS_OF_IMAGES = Statement(f"SELECT gig_id, id, key FROM images WHERE {_OF_GIGS} ORDER BY gig_id, position")
# Words of deleted gigs stay, as candidates for misspelt ones. Before all gigs are analysed the counts are not complete.
FORGET_UNUSED = Statement("""
    DELETE FROM words WHERE gigs <= 0 AND NOT EXISTS (SELECT FROM gigs_to_analyse) RETURNING word
""")
# Counts of few gigs are exact but for gigs that were changed long ago, so these are looked for in the gigs.
FORGET_OF_NOBODY = Statement("""
    DELETE FROM words WHERE gigs < 10 AND word IN (
        SELECT word FROM unnest($1::text[], $2::text[]) AS own (word, stem)
        WHERE NOT EXISTS (SELECT FROM gigs WHERE document @@ stem::tsquery AND deleted_at IS NULL)
    ) RETURNING word
""")


class UserGigs:
    """What an erasure does to gigs beside their rows, and the files of their images."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def visible(self, seller_id: UUID) -> list[UUID]:
        """Return the seller's gigs that are not deleted."""
        return [row["id"] for row in self._database.fetch_all(GIGS, seller_id)]

    def with_texts(self, seller_id: UUID) -> list[UUID]:
        """Return the seller's gigs whose texts are not erased yet, deleted ones too."""
        return [row["id"] for row in self._database.fetch_all(WITH_TEXTS, seller_id, ERASED)]

    def pictures(self, seller_id: UUID) -> list[tuple[UUID, UUID, str]]:
        """Return the gig, the id and the file's key of each image of the seller's gigs."""
        return [(row["gig_id"], row["id"], row["key"]) for row in self._database.fetch_all(KEYS_OF_IMAGES, seller_id)]

    def forget_words(self, words: Sequence[str]) -> int:
        """Remove the words that no gig has any more, of all words and of these. Return their number."""
        unused = self._database.fetch_all(FORGET_UNUSED)
        stems = [f"'{stem(word)}'" for word in words]
        return len(unused) + len(self._database.fetch_all(FORGET_OF_NOBODY, list(words), stems))
