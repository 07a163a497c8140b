"""Submit a review of an order."""

from __future__ import annotations

from uuid import UUID

from review_service.domain.review import Author, SubmittedReview, draft_review
from review_service.orders import Orders
from review_service.store.store import Store
from servicekit.call import IdempotencyClaim
from servicekit.idempotency import IdempotencyKeys, ResponseStore
from servicekit.ids import new_id


class SubmitReview:
    """The command that stores a buyer's review of an order."""

    def __init__(
        self,
        store: Store,
        orders: Orders,
        idempotency_keys: IdempotencyKeys,
        responses: ResponseStore[SubmittedReview],
    ) -> None:
        self._store = store
        self._orders = orders
        self._idempotency_keys = idempotency_keys
        self._responses = responses

    def execute(
        self, order_id: UUID, author: Author, *, stars: int, comment: str, claim: IdempotencyClaim | None = None
    ) -> SubmittedReview:
        """Store the review, count it, and report the gig's new rating to GigService.

        Raises NotFound("Order"); Forbidden unless the author is the order's buyer; Conflict (ORDER_NOT_DELIVERED,
        ALREADY_REVIEWED).
        """
        # Before the transaction: no row stays locked during the call to OrderService.
        order = self._orders.describe(order_id)
        review = draft_review(new_id(), order, author, stars=stars, comment=comment)
        with self._store.transaction("review"):
            self._idempotency_keys.begin(claim, review.id)
            self._store.reviews.add(review)
            counts = self._store.reviews.count(review.gig_id, review.stars)
            self._store.reviews.report_rating(review.gig_id, counts)
            submitted = SubmittedReview(review, counts)
            self._responses.store(review.id, submitted)
        return submitted
