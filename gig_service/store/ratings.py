"""The ratings of gigs, and the reviews that count for the badges of their sellers."""

from collections.abc import Sequence
from uuid import UUID

from gig_service.domain.rating import BuyerReview, GigRating, RatingTotals, StoredRating
from gig_service.store.models import GigRow, SellerReviewRow, SellerRow
from gig_service.store.search_index import SearchIndex
from servicekit.database import Database, Statement
from servicekit.errors import NotFound

LOCK_GIG = Statement("""
    SELECT rating_version, review_count, rating_sum FROM gigs WHERE id = $1 FOR UPDATE
""")
LOCK_SELLER = Statement("""
    SELECT id, buyer_count, buyer_rating_sum FROM sellers
    WHERE id = (SELECT seller_id FROM gigs WHERE gigs.id = $1) FOR UPDATE
""")
REVIEW = Statement("""
    SELECT review_id, created_at, stars FROM seller_reviews WHERE seller_id = $1 AND buyer_id = $2
""")
# The most gigs that one call of `page` reads, rated or not.
PAGE_SIZE = 2000
PAGE = Statement("""
    SELECT id, rating_version, review_count, rating_sum, rating, NOT EXISTS (
        SELECT 1 FROM search_rows
        WHERE gig_id = page.id AND (search_rows.rating, search_rows.review_count) <> (page.rating, page.review_count)
    ) AS is_searched
    FROM (SELECT * FROM gigs WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3) AS page ORDER BY id
""")
MISSING = Statement("""
    SELECT sent.review_id
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[])
        WITH ORDINALITY AS sent(gig_id, review_id, buyer_id, created_at, place)
    LEFT JOIN gigs ON gigs.id = sent.gig_id
    LEFT JOIN seller_reviews AS stored ON stored.seller_id = gigs.seller_id AND stored.buyer_id = sent.buyer_id
    WHERE stored.review_id IS NULL OR (stored.created_at, stored.review_id) < (sent.created_at, sent.review_id)
    ORDER BY place
""")


class Ratings:
    """The ratings and the reviews of each seller. Those of deleted gigs are here too, since they count for badges."""

    def __init__(self, database: Database, index: SearchIndex) -> None:
        self._database = database
        self._index = index

    def lock(self, gig_id: UUID) -> GigRating:
        """Lock a gig and return its rating. Raises NotFound for a gig that never existed."""
        row = self._database.fetch_one(LOCK_GIG, gig_id)
        if row is None:
            raise NotFound("Gig")
        return GigRating(row["rating_version"], RatingTotals(row["review_count"], row["rating_sum"]))

    def save(self, gig_id: UUID, rating: GigRating) -> None:
        """Store a gig's rating, for its page and for searches."""
        GigRow.update(
            rating_version=rating.version,
            review_count=rating.totals.count,
            rating_sum=rating.totals.total,
            rating=rating.totals.rating,
        ).where(GigRow.id == gig_id).execute(self._database.peewee)
        self._index.refresh(gig_id)

    def page(self, after: UUID, until: UUID) -> tuple[list[StoredRating], UUID | None]:
        """Return the ratings of the first gigs of a range of ids, `after` excluded, and the last gig that was read.

        That is None when the range ends with this page. Gigs that have never had a rating are left out.
        """
        rows = self._database.fetch_all(PAGE, after, until, PAGE_SIZE)
        ratings = [
            StoredRating(
                row["id"],
                GigRating(row["rating_version"], RatingTotals(row["review_count"], row["rating_sum"])),
                row["rating"],
                row["is_searched"],
            )
            for row in rows
            if row["rating_version"] or row["review_count"]
        ]
        return ratings, rows[-1]["id"] if len(rows) == PAGE_SIZE else None

    def missing_reviews(self, reviews: Sequence[tuple[UUID, BuyerReview]]) -> list[UUID]:
        """Return the ids of those reviews, given with their gigs, that neither count nor are replaced by a newer one.

        Reviews of a gig that never existed are among them.
        """
        columns = zip(*((gig_id, each.id, each.buyer_id, each.created_at) for gig_id, each in reviews), strict=True)
        rows = self._database.fetch_all(MISSING, *map(list, columns))
        return [row["review_id"] for row in rows]

    def lock_seller_of(self, gig_id: UUID) -> tuple[UUID, RatingTotals]:
        """Lock a gig's seller and return their id and the totals of their reviews, one a buyer.

        Raises NotFound for a gig that never existed.
        """
        row = self._database.fetch_one(LOCK_SELLER, gig_id)
        if row is None:
            raise NotFound("Gig")
        return row["id"], RatingTotals(row["buyer_count"], row["buyer_rating_sum"])

    def review_of(self, seller_id: UUID, buyer_id: UUID) -> BuyerReview | None:
        """Return the buyer's review that counts for the seller, if there is one."""
        row = self._database.fetch_one(REVIEW, seller_id, buyer_id)
        return BuyerReview(row["review_id"], buyer_id, row["created_at"], row["stars"]) if row else None

    def save_review(self, seller_id: UUID, review: BuyerReview) -> None:
        """Store the buyer's review that counts for the seller, in place of an earlier one."""
        row = SellerReviewRow.insert(
            seller_id=seller_id,
            buyer_id=review.buyer_id,
            review_id=review.id,
            created_at=review.created_at,
            stars=review.stars,
        )
        row.on_conflict(
            conflict_target=[SellerReviewRow.seller_id, SellerReviewRow.buyer_id],
            preserve=[SellerReviewRow.review_id, SellerReviewRow.created_at, SellerReviewRow.stars],
        ).execute(self._database.peewee)

    def save_seller(self, seller_id: UUID, totals: RatingTotals, *, raise_version: bool) -> None:
        """Store a seller's totals, and raise their version when `raise_version` is set."""
        SellerRow.update(
            buyer_count=totals.count,
            buyer_rating_sum=totals.total,
            version=SellerRow.version + raise_version,
        ).where(SellerRow.id == seller_id).execute(self._database.peewee)
