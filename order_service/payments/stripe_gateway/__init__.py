"""Stripe: PaymentIntents that are captured by hand, refunds, and transfers to sellers' connected accounts.

Our own ids are handed on as idempotency keys, which Stripe keeps for a day. What is made again later than that is
looked for first: a payment by the order's id in its metadata, a refund among its payment's, a transfer by its group.
Amounts go over as cents.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import stripe
import structlog

from order_service.payments.gateway import (
    ActionRequired,
    Authorization,
    ChargedBackError,
    Declined,
    PaymentLine,
    PayoutLine,
    PayoutRefusedError,
    Purchase,
    Transfer,
)
from servicekit.errors import InvalidArgument, Unavailable, Violation

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0
# Stripe may forget a key after 24 hours; some time before, its search has caught up with what was made.
KEYS_LAST = timedelta(hours=20)
# How long a card's hold lasts where Stripe does not say, less than the seven days that it documents for most cards.
USUAL_HOLD = timedelta(days=6, hours=12)

# https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts, in the settlement currency itself; for others
# Stripe converts, and says so when a payment is too small.
MINIMUMS = {
    "AED": "2.00", "AUD": "0.50", "BGN": "1.00", "BRL": "0.50", "CAD": "0.50", "CHF": "0.50", "CZK": "15.00",
    "DKK": "2.50", "EUR": "0.50", "GBP": "0.30", "HKD": "4.00", "INR": "0.50", "MXN": "10.00", "MYR": "2.00",
    "NOK": "3.00", "NZD": "0.50", "PLN": "2.00", "RON": "2.00", "SEK": "3.00", "SGD": "0.50", "THB": "10.00",
    "USD": "0.50",
}  # fmt: skip

ORDER, PAYOUT = "order_id", "payout_id"
CENT = Decimal("0.01")
# What says nothing about the request: it may or may not have been done.
UNKNOWN = (stripe.APIConnectionError, stripe.RateLimitError, stripe.IdempotencyError, stripe.APIError)
# What says that the deployment's key is wrong. Nothing is done, and nobody but its operator can help.
MISCONFIGURED = (stripe.AuthenticationError, stripe.PermissionError)


class StripeGateway:
    """A Gateway. `api_base` is another address of the API, for tests."""

    needs_token = True

    def __init__(self, api_key: str, currency: str, api_base: str | None = None) -> None:
        self.minimum = Decimal(MINIMUMS.get(currency, "0.50"))
        self._currency = currency.lower()
        self._log = structlog.get_logger()
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base} if api_base else None,
            http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS)),
            # Ours to do, with time in between.
            max_network_retries=0,
        )
        # Any: the library's own types are of dictionaries that are longer than what they hold.
        self._api: Any = client.v1

    def authorize(self, purchase: Purchase) -> Authorization:
        """See Gateway."""
        with self._asking():
            intent = self._find(purchase.order_id) if purchase.age > KEYS_LAST else None
            intent = intent or self._create(purchase)
        if intent.status == "requires_action":
            self.void(purchase.order_id, intent.id)
            raise ActionRequired
        if intent.status != "requires_capture":
            raise Declined
        return Authorization(intent.id, _hold_of(intent))

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """See Gateway."""
        options = {"idempotency_key": f"{order_id}:capture"}
        with self._asking():
            try:
                self._api.payment_intents.capture(reference, {"amount_to_capture": _cents(amount)}, options)
            except (stripe.InvalidRequestError, stripe.CardError):
                if self._api.payment_intents.retrieve(reference).status != "succeeded":
                    raise Declined from None

    def void(self, order_id: UUID, reference: str) -> None:
        """See Gateway."""
        with self._asking():
            try:
                self._api.payment_intents.cancel(reference, {}, {"idempotency_key": f"{order_id}:void"})
            except stripe.InvalidRequestError:
                if self._api.payment_intents.retrieve(reference).status != "canceled":
                    raise

    def refund(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """See Gateway."""
        told = {"payment_intent": reference, "amount": _cents(amount), "metadata": {ORDER: str(order_id)}}
        with self._asking():
            # We give back once an order; what the merchant does by hand in Stripe's dashboard is none of ours.
            made = self._api.refunds.list({"payment_intent": reference}).data
            if any(_metadata(refund, ORDER) == str(order_id) for refund in made):
                return
            try:
                self._api.refunds.create(told, {"idempotency_key": f"{order_id}:refund"})
            except stripe.InvalidRequestError as error:
                if error.code == "charge_disputed":
                    raise ChargedBackError from error
                raise

    def pay_out(self, transfer: Transfer) -> str:
        """See Gateway."""
        group = str(transfer.payout_id)
        told = {
            "amount": _cents(transfer.amount),
            "currency": transfer.currency.lower(),
            "destination": transfer.destination,
            "transfer_group": group,
            "metadata": {PAYOUT: group},
        }
        with self._asking():
            made = self._api.transfers.list({"transfer_group": group}).data
            try:
                done = made[0] if made else self._api.transfers.create(told, {"idempotency_key": f"{group}:pay_out"})
            except stripe.InvalidRequestError as error:
                # The platform's money is on its way to Stripe's balance; the seller's will go out when it is there.
                if error.code == "balance_insufficient":
                    raise Unavailable from error
                raise PayoutRefusedError(f"{error.code}: {error.user_message}") from error
        return str(done.id)

    def check_destination(self, destination: str) -> None:
        """See Gateway."""
        with self._asking():
            try:
                account = self._api.accounts.retrieve(destination)
            # Another platform's account is one that this key has no permission for.
            except (stripe.InvalidRequestError, stripe.PermissionError):
                raise _invalid("destination", "is not the id of an account that is connected to us") from None
        if getattr(getattr(account, "capabilities", None), "transfers", None) != "active":
            raise _invalid("destination", "cannot receive money yet: its owner has not finished Stripe's onboarding")

    def payments(self) -> Iterator[PaymentLine]:
        """See Gateway."""
        with self._asking():
            page = self._api.payment_intents.list({"limit": 100, "expand": ["data.latest_charge"]})
            for intent in page.auto_paging_iter():
                if order_id := _metadata(intent, ORDER):
                    yield _to_line(UUID(order_id), intent)

    def payouts(self) -> Iterator[PayoutLine]:
        """See Gateway."""
        with self._asking():
            for made in self._api.transfers.list({"limit": 100}).auto_paging_iter():
                if payout_id := _metadata(made, PAYOUT):
                    yield PayoutLine(UUID(payout_id), _amount(made.amount))

    def _create(self, purchase: Purchase) -> Any:
        told = {
            "amount": _cents(purchase.amount),
            "currency": self._currency,
            "capture_method": "manual",
            "confirm": True,
            # No way to pay that would lead the buyer to another page.
            "payment_method_types": ["card"],
            "metadata": {ORDER: str(purchase.order_id), "buyer_id": str(purchase.buyer_id)},
            "expand": ["latest_charge"],
            **_card(purchase.token),
        }
        try:
            return self._api.payment_intents.create(told, {"idempotency_key": f"{purchase.order_id}:authorize"})
        except stripe.CardError as error:
            if error.code == "authentication_required":
                raise ActionRequired from error
            raise Declined(error.user_message or "") from error
        except stripe.InvalidRequestError as error:
            if error.code == "amount_too_small":
                raise _invalid("packageId", "costs less than a payment must have") from error
            # An unknown card is the one thing in the request that is the client's.
            if error.http_status == 404 or "payment_method" in (error.param or ""):
                raise _invalid("paymentToken", "is not a card that Stripe knows") from error
            raise

    def _find(self, order_id: UUID) -> Any:
        query = f"metadata['{ORDER}']:'{order_id}'"
        found = self._api.payment_intents.search({"query": query, "expand": ["data.latest_charge"]}).data
        return found[0] if found else None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Raises Unavailable for all that says nothing about the request."""
        try:
            yield
        except MISCONFIGURED as error:
            self._log.error("stripe does not take our key", error=str(error))
            raise Unavailable from error
        except UNKNOWN as error:
            raise Unavailable from error


def _card(token: str) -> dict[str, object]:
    """A card as Stripe's own client made it: a PaymentMethod, or a token of the older kind."""
    if token.startswith("tok_"):
        return {"payment_method_data": {"type": "card", "card": {"token": token}}}
    return {"payment_method": token}


def _hold_of(intent: Any) -> timedelta:
    charge = getattr(intent, "latest_charge", None)
    card = getattr(getattr(charge, "payment_method_details", None), "card", None)
    until = getattr(card, "capture_before", None)
    return USUAL_HOLD if until is None or charge is None else timedelta(seconds=until - charge.created)


def _to_line(order_id: UUID, intent: Any) -> PaymentLine:
    nothing = Decimal(0)
    charge = intent.latest_charge
    is_captured = intent.status == "succeeded"
    disputed = getattr(charge, "disputed", False)
    refunded = _amount(getattr(charge, "amount_refunded", 0) or 0) if is_captured else nothing
    return PaymentLine(
        order_id=order_id,
        reference=intent.id,
        held=_amount(intent.amount) if intent.status == "requires_capture" else nothing,
        captured=_amount(intent.amount) if is_captured else nothing,
        refunded=refunded,
        charged_back=_amount(intent.amount) - refunded if is_captured and disputed else nothing,
    )


def _metadata(thing: Any, name: str) -> str:
    return str(getattr(getattr(thing, "metadata", None), name, None) or "")


def _cents(amount: Decimal) -> int:
    return int(amount / CENT)


def _amount(cents: int) -> Decimal:
    return cents * CENT


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument([Violation(field, message)])
