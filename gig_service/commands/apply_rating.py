"""The command of `ApplyRating`."""

from uuid import UUID

from gig_service.domain.rating import GigRating
from gig_service.store.store import Store


class ApplyRating:
    """Stores a gig's rating from ReviewService."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID, rating: GigRating) -> None:
        """Store the rating unless the stored one is as new.

        Raises NotFound for a gig that never existed; a deleted gig takes ratings.
        """
        with self._store.transaction():
            if rating.is_newer_than(self._store.ratings.lock(gig_id)):
                self._store.ratings.save(gig_id, rating)
