"""The ratings of gigs, and the reviews that count for the badges of their sellers."""

from uuid import UUID

from gig_service.domain.rating import BuyerReview, GigRating, RatingTotals
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
