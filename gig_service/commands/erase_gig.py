"""Delete a gig of a user who is erased."""

from uuid import UUID

from gig_service.store.store import Store


class EraseGig:
    """Deletes a gig and its images, as its owner would, without the owner."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID) -> None:
        """Delete the gig. Raises NotFound("Gig")."""
        with self._store.transaction():
            gig = self._store.gigs.lock(gig_id)
            self._store.images.save(gig.id, self._store.images.of_gig(gig.id), [])
            self._store.gigs.delete(gig.id)
