"""Set the account that a seller's payouts go to."""

from __future__ import annotations

from uuid import UUID

from order_service.payments.gateway import Gateway
from order_service.store.store import Store


class SetPayoutAccount:
    """Check a destination with the payment provider, then store it."""

    def __init__(self, store: Store, gateway: Gateway) -> None:
        self._store = store
        self._gateway = gateway

    def execute(self, seller_id: UUID, destination: str) -> None:
        """Store the destination. Raises InvalidArgument (destination) when it cannot be paid, Unavailable."""
        self._gateway.check_destination(destination)
        self._store.payouts.set_destination(seller_id, destination)
