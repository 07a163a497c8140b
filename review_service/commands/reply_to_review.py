"""Reply to a review."""

from __future__ import annotations

from uuid import UUID

from review_service.domain.review import Review, check_replier
from review_service.orders import Orders
from review_service.store.store import Store


class ReplyToReview:
    """The command that stores the seller's one reply to a review."""

    def __init__(self, store: Store, orders: Orders) -> None:
        self._store = store
        self._orders = orders

    def execute(self, review_id: UUID, caller_id: UUID, text: str) -> Review:
        """Store the reply, and return the review with it.

        Raises NotFound("Review"); Forbidden unless the caller is the gig's seller; Conflict (ALREADY_REPLIED).
        """
        review = self._store.reviews.get(review_id)
        # The order names the seller, whatever has become of the gig. No row stays locked during the call.
        check_replier(self._orders.describe(review.order_id), caller_id)
        with self._store.transaction("reply"):
            return self._store.reviews.reply(review_id, text)
