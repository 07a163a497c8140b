"""Report a review to GigService once more."""

from __future__ import annotations

from review_service.domain.rating_differences import SentReview
from review_service.store.store import Store


class ReportReview:
    """The command that sends a review that GigService has lost, for its seller's badges."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, review: SentReview) -> None:
        """Write the review to the outbox, as its submission did."""
        with self._store.transaction("report"):
            self._store.reviews.report_review(review)
