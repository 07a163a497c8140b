"""The command of `DeletePackage`."""

from uuid import UUID

from gig_service.commands.editing import lock_own_gig
from gig_service.domain.gig import GigPage, check_not_last_package
from gig_service.store.store import Store
from servicekit.call import Caller


class DeletePackage:
    """Deletes a package of the caller's gig, but never the last one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID, package_id: UUID, caller: Caller, if_match: str | None) -> GigPage:
        """Delete the package and return the gig's page.

        Raises NotFound, Forbidden, PreconditionFailed, and Conflict for the last package.
        """
        with self._store.transaction():
            gig = lock_own_gig(self._store, gig_id, caller, if_match, package_id=package_id)
            check_not_last_package(gig)
            self._store.packages.remove(package_id)
            self._store.gigs.touch(gig.id)
            return self._store.gigs.page(gig.id)
