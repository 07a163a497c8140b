"""Hold the payouts of a seller."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.payout import PayoutHold
from order_service.store.store import Store
from servicekit.database import retry_conflicts
from servicekit.errors import Forbidden


class SetPayoutHold:
    """Hold a seller's payouts, or change the reason of the hold."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @retry_conflicts
    def execute(self, seller_id: UUID, admin_id: UUID, reason: str) -> PayoutHold:
        """Return the hold. No payout is begun after that. Raises Forbidden for the admin's own payouts."""
        if seller_id == admin_id:
            raise Forbidden("You cannot hold your own payouts")
        with self._store.transaction("payout hold"):
            self._store.payout_holds.lock_for_change(seller_id)
            return self._store.payout_holds.set(seller_id, reason, admin_id)
