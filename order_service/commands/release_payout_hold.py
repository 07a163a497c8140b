"""Release the payouts of a seller."""

from __future__ import annotations

from uuid import UUID

from order_service.store.store import Store
from servicekit.database import retry_conflicts
from servicekit.errors import Forbidden


class ReleasePayoutHold:
    """End the hold of a seller's payouts, and let those that waited be sent."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @retry_conflicts
    def execute(self, seller_id: UUID, admin_id: UUID) -> None:
        """Release the payouts. Does nothing when they are not held. Raises Forbidden for the admin's own payouts."""
        if seller_id == admin_id:
            raise Forbidden("You cannot release your own payouts")
        with self._store.transaction("payout release"):
            self._store.payout_holds.lock_for_change(seller_id)
            if self._store.payout_holds.release(seller_id):
                self._store.payouts.send_pending(seller_id)
