"""The command of `SetGigStatus`."""

from uuid import UUID

from gig_service.commands.editing import remember_seller
from gig_service.domain.gig import GigPage, Status, is_owner, next_status
from gig_service.store.store import Store
from servicekit.call import Caller


class SetGigStatus:
    """Pauses, activates or suspends a gig, for its owner or an admin."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID, requested: Status | None, caller: Caller, if_match: str | None) -> GigPage:
        """Give the gig the requested status, or the other one when none is requested, and return its page.

        The status that the gig has already changes nothing. Raises NotFound, Forbidden and PreconditionFailed.
        """
        with self._store.transaction():
            gig = self._store.gigs.lock(gig_id)
            status = next_status(gig, caller, if_match, requested)
            if is_owner(gig, caller):
                remember_seller(self._store, caller)
            if status is not gig.status:
                self._store.gigs.set_status(gig.id, status)
            return self._store.gigs.page(gig.id)
