"""The command of `UpdateGig`."""

from uuid import UUID

from gig_service.commands.editing import lock_own_gig
from gig_service.domain.gig import GigDetails, GigPage
from gig_service.store.store import Store
from servicekit.call import Caller


class UpdateGig:
    """Replaces the details of the caller's gig."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID, details: GigDetails, caller: Caller, if_match: str | None) -> GigPage:
        """Replace the gig's details and return its page.

        Raises InvalidArgument for the category, NotFound, Forbidden and PreconditionFailed.
        """
        self._store.categories.require(details.category_id)
        with self._store.transaction():
            gig = lock_own_gig(self._store, gig_id, caller, if_match)
            self._store.gigs.replace_details(gig.id, details)
            return self._store.gigs.page(gig.id)
