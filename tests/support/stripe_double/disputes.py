"""Disputes (https://docs.stripe.com/disputes/how-disputes-work, https://docs.stripe.com/api/disputes/object).

A dispute has a balance transaction when its money is withdrawn, and a second one when it is reinstated. An inquiry
(`warning_…`) withdraws nothing. A charge stays `disputed` when its dispute is over.
"""

from __future__ import annotations

import time

from tests.support.stripe_double.errors import Object
from tests.support.stripe_double.objects import listed
from tests.support.stripe_double.payments import Payments

FEE = 1500
EVIDENCE_SECONDS = 7 * 24 * 3600


class Disputes(Payments):
    """Disputes of captured payments."""

    def dispute(self, reference: str, status: str = "needs_response", amount: int | None = None) -> Object:
        """Open a dispute of a captured payment, of an amount in cents, by default the rest. Return the dispute."""
        with self._lock:
            intent = self._intent(reference)
            charge = intent["latest_charge"]
            charge["disputed"] = True
            rest = charge["amount"] - charge["amount_refunded"] - self._withdrawn(reference)
            dispute = self._new(
                "dispute",
                "dp",
                payment_intent=reference,
                charge=charge["id"],
                amount=rest if amount is None else amount,
                currency=intent["currency"],
                status=status,
                balance_transactions=[],
                evidence_details={"due_by": int(time.time()) + EVIDENCE_SECONDS},
            )
            self.disputes.append(dispute)
            self._report("charge.dispute.created", dispute)
            self._move_money(dispute)
        return dispute

    def move_dispute(self, dispute_id: str, status: str) -> Object:
        """Move a dispute to another status. Return it."""
        with self._lock:
            (dispute,) = [each for each in self.disputes if each["id"] == dispute_id]
            dispute["status"] = status
            is_closed = status in ("won", "lost", "warning_closed", "prevented")
            self._report("charge.dispute.closed" if is_closed else "charge.dispute.updated", dispute)
            self._move_money(dispute)
        return dispute

    def reinstate(self, dispute_id: str) -> Object:
        """Give the money of a lost dispute back: its status stays `lost`. Return the dispute."""
        with self._lock:
            (dispute,) = [each for each in self.disputes if each["id"] == dispute_id]
            self._give_back(dispute)
        return dispute

    def _move_money(self, dispute: Object) -> None:
        """Withdraw or reinstate the money, as the status says."""
        if not dispute["balance_transactions"] and not dispute["status"].startswith(("warning_", "prevented")):
            taken = self._transaction("adjustment", -dispute["amount"], FEE, dispute["currency"])
            dispute["balance_transactions"].append(taken)
            self.balance -= dispute["amount"] + FEE
            self._report("charge.dispute.funds_withdrawn", dispute)
        if dispute["status"] == "won":
            self._give_back(dispute)

    def _give_back(self, dispute: Object) -> None:
        if len(dispute["balance_transactions"]) != 1:
            return
        given = self._transaction("adjustment", dispute["amount"], 0, dispute["currency"])
        dispute["balance_transactions"].append(given)
        self.balance += dispute["amount"]
        self._report("charge.dispute.funds_reinstated", dispute)

    def _withdrawn(self, reference: str) -> int:
        """Return the amount of a payment that disputes hold."""
        disputes = [each for each in self.disputes if each["payment_intent"] == reference]
        return sum(-int(transaction["amount"]) for each in disputes for transaction in each["balance_transactions"])

    def _list_disputes(self, params: Object) -> Object:
        reference = params["payment_intent"]
        return listed("disputes", (each for each in self.disputes if each["payment_intent"] == reference), params)
