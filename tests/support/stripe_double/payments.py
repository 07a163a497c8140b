"""PaymentIntents with manual capture (https://docs.stripe.com/payments/place-a-hold-on-a-payment-method).

A card that wants the buyer's confirmation (3-D Secure) makes a PaymentIntent that is `requires_action` until `confirm`
or `refuse_confirmation` is called, as a browser's Stripe.js does.

Errors are those of https://docs.stripe.com/error-codes: an amount that is too small or too large, an unknown card, and
a capture or a cancellation in the wrong status.
"""

from __future__ import annotations

import re

from tests.support.stripe_double.errors import ApiError, Object, invalid
from tests.support.stripe_double.objects import Objects, expansions, listed

AUTHORIZATION_SECONDS = 7 * 24 * 3600
SMALLEST, LARGEST = 50, 99_999_999
# The first status of a payment by each card (https://docs.stripe.com/testing). For `pm_card_expires`, which is the
# double's own, it is already `canceled` after the response.
STATUSES = {
    "pm_card_visa": "requires_capture",
    "tok_visa": "requires_capture",
    "pm_card_pendingRefund": "requires_capture",
    "pm_card_authenticationRequired": "requires_action",
    "pm_card_processing": "processing",
    "pm_card_expires": "requires_capture",
}


class Payments(Objects):
    """PaymentIntents, each with its charge."""

    def confirm(self, reference: str) -> None:
        """Confirm a payment as the buyer does in their browser: the card is authorized from now on.

        https://docs.stripe.com/payments/paymentintents/lifecycle: after the action a PaymentIntent with manual capture
        is `requires_capture`. Raises ApiError in another status, as the browser would get it.
        """
        with self._lock:
            self._authorize(self._waiting_intent(reference))

    def refuse_confirmation(self, reference: str) -> None:
        """Let the buyer fail to confirm a payment.

        https://docs.stripe.com/payments/paymentintents/lifecycle: when the action fails, a PaymentIntent is
        `requires_payment_method` again, and could be paid with another card.
        """
        with self._lock:
            intent = self._waiting_intent(reference)
            intent["status"], intent["next_action"] = "requires_payment_method", None
            self._report_intent("payment_failed", intent)

    def _intent(self, name: str) -> Object:
        if name not in self.intents:
            raise invalid("resource_missing", "intent", 404)
        return self.intents[name]

    def _list_intents(self, params: Object) -> Object:
        page = listed("payment_intents", self.intents.values(), params)
        paths = expansions(params, "data.")
        return {**page, "data": [self._shown(intent, paths) for intent in page["data"]]}

    def _search_intents(self, params: Object) -> Object:
        query = re.fullmatch(r"metadata\['(\w+)'\]:'(.*)'", params["query"])
        assert query
        paths = expansions(params, "data.")
        intents = [each for each in self.intents.values() if each["metadata"].get(query[1]) == query[2]]
        return {"object": "search_result", "data": [self._shown(each, paths) for each in intents], "has_more": False}

    def _create_intent(self, params: Object) -> Object:
        """Create a PaymentIntent, and confirm it when the request says so.

        https://docs.stripe.com/api/payment_intents/create: one that is not confirmed and has no payment method is
        `requires_payment_method`; `use_stripe_sdk` lets Stripe.js handle the next action.
        """
        if params.get("capture_method") != "manual":
            raise invalid("parameter_missing")
        if int(params["amount"]) < SMALLEST:
            raise invalid("amount_too_small", "amount")
        if int(params["amount"]) > LARGEST:
            raise invalid("amount_too_large", "amount")
        intent = self._new(
            "payment_intent",
            "pi",
            amount=int(params["amount"]),
            currency=params["currency"],
            status="requires_payment_method",
            next_action=None,
            payment_method=None,
            metadata=params.get("metadata", {}),
            latest_charge=None,
        )
        intent["client_secret"] = f"{intent['id']}_secret_{next(self._numbers)}"
        if params.get("confirm") == "true":
            self._use_card(intent, params)
        self.intents[intent["id"]] = intent
        shown = self._shown(intent, expansions(params))
        if intent["payment_method"] == "pm_card_expires":
            self._cancel(intent)
        return shown

    def _use_card(self, intent: Object, params: Object) -> None:
        """Confirm a new PaymentIntent with the card of the request."""
        card = params.get("payment_method") or params["payment_method_data"]["card"]["token"]
        if card in ("pm_card_chargeDeclined", "tok_chargeDeclined"):
            raise ApiError(402, "card_error", "card_declined", "Your card was declined.")
        if card not in STATUSES:
            raise invalid("resource_missing", "payment_method")
        intent["payment_method"], intent["status"] = card, STATUSES[card]
        if intent["status"] == "requires_action":
            if params.get("use_stripe_sdk") != "true":
                raise invalid("parameter_missing", "use_stripe_sdk")
            intent["next_action"] = {"type": "use_stripe_sdk"}
        elif intent["status"] == "requires_capture":
            self._authorize(intent)
        else:
            intent["latest_charge"] = self._charge(intent)

    def _authorize(self, intent: Object) -> None:
        intent["latest_charge"] = self._charge(intent)
        intent["status"], intent["next_action"] = "requires_capture", None
        self._report_intent("amount_capturable_updated", intent)

    def _charge(self, intent: Object) -> Object:
        charge = self._new(
            "charge",
            "ch",
            amount=intent["amount"],
            amount_refunded=0,
            balance_transaction=None,
            currency=intent["currency"],
            disputed=False,
        )
        charge["payment_method_details"] = {"card": {"capture_before": charge["created"] + AUTHORIZATION_SECONDS}}
        return charge

    def _capture(self, intent: Object, params: Object) -> Object:
        if intent["status"] != "requires_capture":
            raise invalid("payment_intent_unexpected_state")
        if int(params["amount_to_capture"]) > intent["amount"]:
            raise invalid("amount_too_large", "amount_to_capture")
        intent["status"] = "succeeded"
        # The captured money is pending first, so `balance` stays. The fee is the one of https://stripe.com/pricing.
        fee = (intent["amount"] * 29 + 500) // 1000 + 30
        transaction = self._transaction("charge", intent["amount"], fee, intent["currency"])
        intent["latest_charge"]["balance_transaction"] = transaction
        return self._shown(intent, expansions(params))

    def _cancel(self, intent: Object) -> Object:
        """https://docs.stripe.com/api/payment_intents/cancel: only in these statuses, and rarely while processing.

        What was authorized is released by a refund of the charge, which was never captured: it moves no money.
        """
        if intent["status"] not in ("requires_payment_method", "requires_capture", "requires_action"):
            raise invalid("payment_intent_unexpected_state")
        is_authorized = intent["status"] == "requires_capture"
        intent["status"], intent["next_action"] = "canceled", None
        self._report_intent("canceled", intent)
        if is_authorized:
            self._release(intent)
        return self._shown(intent, set())

    def _release(self, intent: Object) -> None:
        charge = intent["latest_charge"]
        charge["amount_refunded"] = charge["amount"]
        fields = {"amount": intent["amount"], "currency": intent["currency"], "metadata": {}, "failure_reason": None}
        refund = self._new("refund", "re", payment_intent=intent["id"], charge=charge["id"], **fields)
        refund |= {"status": "succeeded", "pending_reason": None}
        self.refunds.append(refund)
        self._report("refund.created", refund)
        self._report("charge.refunded", {**charge, "payment_intent": intent["id"]})

    def _waiting_intent(self, reference: str) -> Object:
        """Return a payment that waits for the buyer's confirmation. Raises ApiError when it does not."""
        intent = self._intent(reference)
        if intent["status"] != "requires_action":
            raise invalid("payment_intent_unexpected_state")
        return intent

    def _report_intent(self, kind: str, intent: Object) -> None:
        """Add an event about a payment (https://docs.stripe.com/api/events/types)."""
        self._report(f"payment_intent.{kind}", self._shown(intent, set()))

    def _shown(self, intent: Object, paths: set[str]) -> Object:
        """Return a payment as Stripe shows it: ids instead of objects that the request did not expand.

        An expanded charge has its last ten refunds only when they are expanded (API version 2022-11-15).
        """
        charge = intent["latest_charge"]
        if charge is None or not any(path.split(".")[0] == "latest_charge" for path in paths):
            return {**intent, "latest_charge": charge and charge["id"]}
        shown = dict(charge)
        if "latest_charge.balance_transaction" not in paths and charge["balance_transaction"]:
            shown["balance_transaction"] = charge["balance_transaction"]["id"]
        if "latest_charge.refunds" in paths:
            refunds = (each for each in self.refunds if each["payment_intent"] == intent["id"])
            shown["refunds"] = listed("refunds", refunds, {})
        return {**intent, "latest_charge": shown}
