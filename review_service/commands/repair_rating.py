"""Repair the rating of a gig."""

from __future__ import annotations

from uuid import UUID

from review_service.store.store import Store


class RepairRating:
    """The command that counts a gig's reviews anew."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID, above_version: int) -> None:
        """Count the gig's reviews anew, and report the rating to GigService.

        Its version is above `above_version`, that of GigService's rating, which would not be replaced otherwise.
        """
        with self._store.transaction("repair"):
            counts = self._store.reviews.recount(gig_id, above_version)
            self._store.reviews.report_rating(gig_id, counts)
