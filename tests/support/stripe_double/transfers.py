"""Transfers to connected accounts (https://docs.stripe.com/connect/separate-charges-and-transfers).

Errors (https://docs.stripe.com/error-codes): `balance_insufficient`, and an account without the capability.
"""

from __future__ import annotations

from tests.support.stripe_double.errors import ApiError, Object, invalid
from tests.support.stripe_double.objects import Objects, listed


class Transfers(Objects):
    """Transfers, and the accounts that receive them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for account, transfers in (("acct_good", "active"), ("acct_new", "pending")):
            self.accounts[account] = {"id": account, "object": "account", "capabilities": {"transfers": transfers}}

    def reverse_transfer(self, transfer_id: str, amount: int) -> Object:
        """Take an amount, in cents, of a transfer back (https://docs.stripe.com/api/transfer_reversals). Return it."""
        with self._lock:
            (transfer,) = [each for each in self.transfers if each["id"] == transfer_id]
            transfer["amount_reversed"] += amount
            transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
            self.balance += amount
            self._report("transfer.reversed", transfer)
        return transfer

    def _account(self, name: str) -> Object:
        if name not in self.accounts:
            raise ApiError(403, "invalid_request_error", "account_invalid")
        return self.accounts[name]

    def _list_transfers(self, params: Object) -> Object:
        group = params.get("transfer_group")
        return listed("transfers", (each for each in self.transfers if group in (None, each["transfer_group"])), params)

    def _transfer(self, params: Object) -> Object:
        account, amount = self.accounts.get(params["destination"]), int(params["amount"])
        if account is None:
            raise invalid("resource_missing", "destination")
        if account["capabilities"]["transfers"] != "active":
            raise invalid("insufficient_capabilities_for_transfer", "destination")
        if amount > self.balance:
            raise invalid("balance_insufficient")
        self.balance -= amount
        transfer = self._new(
            "transfer",
            "tr",
            amount=amount,
            amount_reversed=0,
            reversed=False,
            destination=account["id"],
            transfer_group=params.get("transfer_group"),
            metadata=params.get("metadata", {}),
        )
        self.transfers.append(transfer)
        return transfer
