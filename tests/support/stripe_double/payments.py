"""PaymentIntents with manual capture (https://docs.stripe.com/payments/place-a-hold-on-a-payment-method).

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
        if params.get("capture_method") != "manual" or params.get("confirm") != "true":
            raise invalid("parameter_missing")
        card = params.get("payment_method") or params["payment_method_data"]["card"]["token"]
        if int(params["amount"]) < SMALLEST:
            raise invalid("amount_too_small", "amount")
        if int(params["amount"]) > LARGEST:
            raise invalid("amount_too_large", "amount")
        if card in ("pm_card_chargeDeclined", "tok_chargeDeclined"):
            raise ApiError(402, "card_error", "card_declined", "Your card was declined.")
        if card not in STATUSES:
            raise invalid("resource_missing", "payment_method")
        charge = self._new(
            "charge",
            "ch",
            amount=int(params["amount"]),
            amount_refunded=0,
            balance_transaction=None,
            currency=params["currency"],
            disputed=False,
        )
        charge["payment_method_details"] = {"card": {"capture_before": charge["created"] + AUTHORIZATION_SECONDS}}
        intent = self._new(
            "payment_intent",
            "pi",
            amount=int(params["amount"]),
            currency=params["currency"],
            status=STATUSES[card],
            payment_method=card,
            metadata=params.get("metadata", {}),
            latest_charge=None if card == "pm_card_authenticationRequired" else charge,
        )
        self.intents[intent["id"]] = intent
        if card == "pm_card_expires":
            intent["status"] = "canceled"
            return self._shown({**intent, "status": "requires_capture"}, expansions(params))
        return self._shown(intent, expansions(params))

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
        if intent["status"] not in ("requires_capture", "requires_action"):
            raise invalid("payment_intent_unexpected_state")
        intent["status"] = "canceled"
        return self._shown(intent, set())

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
