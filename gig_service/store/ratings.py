"""What reviews made of gigs and of their sellers."""

from uuid import UUID

from gig_service.domain.rating import Standing, Tally, badges, newer
from gig_service.store.index import Index
from gig_service.store.models import GigRow, SellerRow
from servicekit.database import Database, Statement
from servicekit.errors import NotFound

GIG = Statement("""
    SELECT seller_id, rating_version, review_count, rating_sum FROM gigs WHERE id = $1 FOR UPDATE
""")
SELLER = Statement("SELECT review_count, rating_sum FROM sellers WHERE id = $1 FOR UPDATE")


class Ratings:
    """The ratings."""

    def __init__(self, database: Database, index: Index) -> None:
        self._database = database
        self._index = index

    def apply(self, gig_id: UUID, told: Standing) -> None:
        """Takes over what a gig's reviews come to, and the difference into its seller's sums, in one transaction.

        What is not newer than what is known changes nothing. Raises NotFound for a gig that never was; a deleted one
        takes it like any other.
        """
        with self._database.transaction():
            gig = self._database.fetch_one(GIG, gig_id)
            if gig is None:
                raise NotFound("Gig")
            known = Standing(gig["rating_version"], Tally(gig["review_count"], gig["rating_sum"]))
            if not newer(known, told):
                return
            GigRow.update(
                rating_version=told.version,
                review_count=told.tally.count,
                rating_sum=told.tally.total,
                rating=told.tally.rating,
            ).where(GigRow.id == gig_id).execute(self._database.peewee)
            self._index.refresh(gig_id)
            self._add(gig["seller_id"], told.tally - known.tally)

    def _add(self, seller_id: UUID, difference: Tally) -> None:
        """Adds to a seller's sums. Their version grows only with other badges: no more of the sums is shown."""
        row = self._database.fetch_one(SELLER, seller_id)
        assert row is not None
        before = Tally(row["review_count"], row["rating_sum"])
        after = before + difference
        SellerRow.update(
            review_count=after.count,
            rating_sum=after.total,
            version=SellerRow.version + (badges(before) != badges(after)),
        ).where(SellerRow.id == seller_id).execute(self._database.peewee)
