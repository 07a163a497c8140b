"""The command of `UpdatePackage`."""

from uuid import UUID

from gig_service.commands.editing import lock_own_gig
from gig_service.domain.gig import GigPage, PackageDetails, check_extras
from gig_service.store.store import Store
from servicekit.call import Caller


class UpdatePackage:
    """Replaces the details of a package of the caller's gig."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(
        self, gig_id: UUID, package_id: UUID, details: PackageDetails, caller: Caller, if_match: str | None
    ) -> GigPage:
        """Replace the package's details and return the gig's page. An extra with the id of a stored one keeps it.

        Raises NotFound, Forbidden, PreconditionFailed, and InvalidArgument for extras with other ids.
        """
        with self._store.transaction():
            gig = lock_own_gig(self._store, gig_id, caller, if_match, package_id=package_id)
            check_extras([details], self._store.packages.extra_ids(package_id))
            self._store.packages.replace(package_id, details)
            self._store.gigs.touch(gig.id)
            return self._store.gigs.page(gig.id)
