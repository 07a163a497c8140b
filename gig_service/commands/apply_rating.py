"""The command of `ApplyRating`."""

from uuid import UUID

from gig_service.domain.rating import GigRating, badges
from gig_service.store.store import Store


class ApplyRating:
    """Stores a gig's rating from ReviewService, and counts it among its seller's."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID, rating: GigRating) -> None:
        """Store the rating unless the stored one is as new; add the difference to the seller's totals.

        The seller's version grows with other badges only: pages show no more of the totals. Raises NotFound for a gig
        that never existed; a deleted gig takes ratings.
        """
        with self._store.transaction():
            seller_id, stored = self._store.ratings.lock(gig_id)
            if not rating.is_newer_than(stored):
                return
            self._store.ratings.save(gig_id, rating)
            before = self._store.ratings.lock_seller(seller_id)
            after = before + (rating.totals - stored.totals)
            self._store.ratings.save_seller(seller_id, after, raise_version=badges(before) != badges(after))
