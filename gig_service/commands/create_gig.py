"""The command of `CreateGig`."""

from collections.abc import Sequence

from gig_service.commands.editing import remember_seller
from gig_service.domain.gig import GigDetails, GigPage, PackageDetails, check_extras
from gig_service.store.store import Store
from servicekit.call import Caller


class CreateGig:
    """Creates a gig of the caller."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, details: GigDetails, packages: Sequence[PackageDetails], caller: Caller) -> GigPage:
        """Create an ACTIVE gig with these packages and return its page.

        Raises InvalidArgument for the category, and for extras with ids, since all are new.
        """
        check_extras(packages, path="packages[{}].")
        self._store.categories.require(details.category_id)
        with self._store.transaction():
            seller_id = remember_seller(self._store, caller)
            gig_id = self._store.gigs.create(seller_id, details, packages)
            return self._store.gigs.page(gig_id)
