"""The command of `ApplyReview`."""

from uuid import UUID

from gig_service.domain.rating import BuyerReview, badges, count_review
from gig_service.store.store import Store


class ApplyReview:
    """Counts a review from ReviewService for the badges of the gig's seller."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID, review: BuyerReview) -> None:
        """Store the review unless the buyer's stored one is as new, and change the seller's totals by it.

        The seller's version grows with other badges only: pages show no more of the totals. Raises NotFound for a gig
        that never existed; reviews of a deleted gig count.
        """
        with self._store.transaction():
            seller_id, before = self._store.ratings.lock_seller_of(gig_id)
            after = count_review(before, self._store.ratings.review_of(seller_id, review.buyer_id), review)
            if after is None:
                return
            self._store.ratings.save_review(seller_id, review)
            self._store.ratings.save_seller(seller_id, after, raise_version=badges(before) != badges(after))
