"""The steps that the commands of sellers share."""

from uuid import UUID

from gig_service.domain.gig import Gig, check_editable
from gig_service.store.store import Store
from servicekit.call import Caller


def lock_own_gig(
    store: Store,
    gig_id: UUID,
    caller: Caller,
    if_match: str | None,
    *,
    package_id: UUID | None = None,
    image_id: UUID | None = None,
) -> Gig:
    """Lock the caller's own gig for a change, remember the caller's name, and return the gig.

    Raises as `check_editable` does. To be called in a transaction.
    """
    gig = store.gigs.lock(gig_id)
    check_editable(gig, caller, if_match, package_id, image_id)
    remember_seller(store, caller)
    return gig


def remember_seller(store: Store, caller: Caller) -> UUID:
    """Store the caller's current name as the seller's, and return their id. Raises LookupError without an id."""
    if caller.id is None:
        raise LookupError("an RPC of sellers must not be open to anonymous callers")
    store.sellers.remember(caller.id, caller.username)
    return caller.id
