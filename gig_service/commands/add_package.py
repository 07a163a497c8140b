"""The command of `AddPackage`."""

from uuid import UUID

from gig_service.commands.editing import lock_own_gig
from gig_service.domain.gig import GigPage, PackageDetails, check_extras, check_package_room
from gig_service.store.store import Store
from servicekit.call import Caller


class AddPackage:
    """Adds a package to the caller's gig."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID, details: PackageDetails, caller: Caller, if_match: str | None) -> GigPage:
        """Add a package and return the gig's page, where the new package is the last.

        Raises InvalidArgument for extras with ids, since all are new; NotFound, Forbidden, PreconditionFailed, and
        Conflict when the gig has MAX_PACKAGES packages.
        """
        check_extras([details])
        with self._store.transaction():
            gig = lock_own_gig(self._store, gig_id, caller, if_match)
            check_package_room(gig)
            self._store.packages.insert(gig.id, [details])
            self._store.gigs.touch(gig.id)
            return self._store.gigs.page(gig.id)
