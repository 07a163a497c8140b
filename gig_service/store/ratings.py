"""The ratings of gigs and the rating totals of their sellers."""

from uuid import UUID

from gig_service.domain.rating import GigRating, RatingTotals
from gig_service.store.models import GigRow, SellerRow
from gig_service.store.search_index import SearchIndex
from servicekit.database import Database, Statement
from servicekit.errors import NotFound

LOCK_GIG = Statement("""
    SELECT seller_id, rating_version, review_count, rating_sum FROM gigs WHERE id = $1 FOR UPDATE
""")
LOCK_SELLER = Statement("SELECT review_count, rating_sum FROM sellers WHERE id = $1 FOR UPDATE")


class Ratings:
    """The ratings. Deleted gigs have theirs too, since they count for the seller's badges."""

    def __init__(self, database: Database, index: SearchIndex) -> None:
        self._database = database
        self._index = index

    def lock(self, gig_id: UUID) -> tuple[UUID, GigRating]:
        """Lock a gig and return its seller's id and its rating. Raises NotFound for a gig that never existed."""
        row = self._database.fetch_one(LOCK_GIG, gig_id)
        if row is None:
            raise NotFound("Gig")
        return row["seller_id"], GigRating(row["rating_version"], RatingTotals(row["review_count"], row["rating_sum"]))

    def save(self, gig_id: UUID, rating: GigRating) -> None:
        """Store a gig's rating, for its page and for searches."""
        GigRow.update(
            rating_version=rating.version,
            review_count=rating.totals.count,
            rating_sum=rating.totals.total,
            rating=rating.totals.rating,
        ).where(GigRow.id == gig_id).execute(self._database.peewee)
        self._index.refresh(gig_id)

    def lock_seller(self, seller_id: UUID) -> RatingTotals:
        """Lock a seller and return the totals of all their gigs."""
        row = self._database.fetch_one(LOCK_SELLER, seller_id)
        assert row is not None
        return RatingTotals(row["review_count"], row["rating_sum"])

    def save_seller(self, seller_id: UUID, totals: RatingTotals, *, raise_version: bool) -> None:
        """Store a seller's totals, and raise their version when `raise_version` is set."""
        SellerRow.update(
            review_count=totals.count,
            rating_sum=totals.total,
            version=SellerRow.version + raise_version,
        ).where(SellerRow.id == seller_id).execute(self._database.peewee)
