"""Request a payout of a seller's available balance."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from order_service.domain.ledger import payout_requested
from order_service.domain.payout import Payout, Status, check_account, check_hold, payout_amount
from order_service.store.store import Store
from servicekit.database import retry_conflicts
from servicekit.ids import new_id


class RequestPayout:
    """Take a payout from the seller's balance; SendPayout pays it. `needs_account` is the gateway's `needs_token`."""

    def __init__(self, store: Store, currency: str, *, needs_account: bool) -> None:
        self._store = store
        self._currency = currency
        self._needs_account = needs_account

    @retry_conflicts
    def execute(self, seller_id: UUID, requested: Decimal | None) -> Payout:
        """Return the PENDING payout of the requested amount, or of everything that is available. In major units.

        Raises Conflict (PAYOUTS_HELD, PAYOUT_ACCOUNT_MISSING, INSUFFICIENT_BALANCE).
        """
        with self._store.transaction("payout"):
            check_hold(is_held=self._store.payout_holds.lock_for_payout(seller_id))
            self._store.ledger.lock(seller_id)
            destination = self._store.payouts.destination(seller_id)
            check_account(destination, is_needed=self._needs_account)
            amount = payout_amount(requested, self._store.ledger.balance(seller_id).available)
            now = self._store.now()
            payout = Payout(new_id(), seller_id, amount, self._currency, Status.PENDING, destination, now)
            self._store.payouts.add(payout)
            self._store.ledger.post(payout_requested(payout.id, seller_id, amount), now)
        return payout
