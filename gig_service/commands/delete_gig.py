"""The command of `DeleteGig`."""

from uuid import UUID

from gig_service.commands.editing import lock_own_gig
from gig_service.store.store import Store
from servicekit.call import Caller


class DeleteGig:
    """Deletes the caller's gig and its images."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID, caller: Caller, if_match: str | None) -> None:
        """Delete the gig. Raises NotFound, Forbidden and PreconditionFailed."""
        with self._store.transaction():
            gig = lock_own_gig(self._store, gig_id, caller, if_match)
            self._store.images.save(gig.id, self._store.images.of_gig(gig.id), [])
            self._store.gigs.delete(gig.id)
