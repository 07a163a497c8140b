"""Refunds (https://docs.stripe.com/refunds, https://docs.stripe.com/api/refunds).

A refund that the available balance does not cover is `pending`, with `pending_reason` `insufficient_funds`, until there
is money. A refund may fail after it succeeded; its money is back on the balance then, and can be refunded again.

Errors (https://docs.stripe.com/error-codes): `charge_already_refunded`, an amount above the rest, and `charge_disputed`
for a charge that was charged back. Of one that was charged back in part Stripe says nothing there; the double lets the
part be refunded that no dispute has taken.
"""

from __future__ import annotations

from typing import Any

from tests.support.stripe_double.disputes import Disputes
from tests.support.stripe_double.errors import Object, invalid
from tests.support.stripe_double.objects import listed


class Refunds(Disputes):
    """Refunds of captured payments."""

    def refund_by_hand(self, reference: str, amount: int) -> Object:
        """Refund an amount, in cents, as somebody does in Stripe's dashboard. Return the refund."""
        with self._lock:
            return self._refund({"payment_intent": reference, "amount": amount})

    def move_refund(self, refund_id: str, status: str) -> Object:
        """Move a refund to another status. Return it.

        https://docs.stripe.com/refunds#failed-refunds: a failed one returns its money to the balance.
        """
        with self._lock:
            (refund,) = [each for each in self.refunds if each["id"] == refund_id]
            if status in ("failed", "canceled"):
                charge = self._intent(refund["payment_intent"])["latest_charge"]
                charge["amount_refunded"] -= refund["amount"]
                if refund["pending_reason"] != "insufficient_funds":
                    self.balance += refund["amount"]
                refund["failure_reason"] = "expired_or_canceled_card"
            refund["status"], refund["pending_reason"] = status, None
            self._report("refund.failed" if status == "failed" else "refund.updated", refund)
            self._report("charge.refund.updated", refund)
        return refund

    def _list_refunds(self, params: Object) -> Object:
        reference = self._intent(params["payment_intent"])["id"]
        return listed("refunds", (each for each in self.refunds if each["payment_intent"] == reference), params)

    def _refund(self, params: Object) -> Object:
        intent, amount = self._intent(params["payment_intent"]), int(params["amount"])
        charge = intent["latest_charge"]
        if intent["status"] != "succeeded":
            raise invalid("payment_intent_unexpected_state")
        if charge["amount_refunded"] == charge["amount"]:
            raise invalid("charge_already_refunded")
        if charge["amount_refunded"] + amount > charge["amount"]:
            raise invalid("amount_too_large", "amount")
        if charge["amount_refunded"] + self._withdrawn(intent["id"]) + amount > charge["amount"]:
            raise invalid("charge_disputed")
        refund = self._new(
            "refund",
            "re",
            payment_intent=intent["id"],
            charge=charge["id"],
            amount=amount,
            currency=intent["currency"],
            metadata=params.get("metadata", {}),
            failure_reason=None,
            **self._first_status(intent["payment_method"], amount),
        )
        charge["amount_refunded"] += amount
        self.refunds.append(refund)
        self._report("refund.created", refund)
        # Its charge does not list its refunds (API version 2022-11-15).
        self._report("charge.refunded", {**charge, "payment_intent": intent["id"], "balance_transaction": None})
        return refund

    def _first_status(self, card: str, amount: int) -> dict[str, Any]:
        if amount > self.balance:
            return {"status": "pending", "pending_reason": "insufficient_funds"}
        self.balance -= amount
        if card == "pm_card_pendingRefund":
            return {"status": "pending", "pending_reason": "processing"}
        return {"status": "succeeded", "pending_reason": None}
