"""Stripe: PaymentIntents that are captured by hand, refunds, and transfers to sellers' connected accounts.

Our own ids are handed on as idempotency keys, which Stripe keeps for a day. What is made again later than that is
looked for first: a payment by the order's id in its metadata, a refund among its payment's, a transfer by its group.
For as long it repeats a fault of its own to the same key: docs/adr/0011-stripe.md. Amounts go over as cents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    PayoutRefusedError,
    ProviderPayment,
    ProviderPayout,
    Purchase,
    Transfer,
)
from order_service.payments.stripe import records
from order_service.payments.stripe.http_client import DeadlineHttpClient
from order_service.payments.stripe.records import ORDER, PAYOUT, cents, metadata
from servicekit.errors import InvalidArgument, Unavailable, Violation

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

# What says nothing about the request: it may or may not have been done.
UNKNOWN = (stripe.APIConnectionError, stripe.RateLimitError, stripe.IdempotencyError, stripe.APIError)
# What Stripe says no with: nothing was done.
REFUSALS = (stripe.InvalidRequestError, stripe.CardError)
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
            http_client=DeadlineHttpClient(),
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
            # What the same key was answered then is repeated to it: how it stands now has to be asked for.
            if intent.status == "processing":
                intent = self._api.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
        if intent.status == "processing":
            raise Unavailable
        if intent.status == "requires_action":
            self.void(purchase.order_id, intent.id)
            raise ActionRequired
        if intent.status != "requires_capture":
            raise Declined
        return Authorization(intent.id, _hold_of(intent))

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """See Gateway."""
        told = {"amount_to_capture": cents(amount)}
        with self._asking():
            if not self._move(self._api.payment_intents.capture, reference, told, f"{order_id}:capture", "succeeded"):
                raise Declined

    def void(self, order_id: UUID, reference: str) -> None:
        """See Gateway."""
        with self._asking():
            if not self._move(self._api.payment_intents.cancel, reference, {}, f"{order_id}:void", "canceled"):
                raise ValueError(f"payment {reference} of order {order_id} cannot be let go of")

    def refund(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """See Gateway."""
        told = {"payment_intent": reference, "amount": cents(amount), "metadata": {ORDER: str(order_id)}}
        with self._asking():
            # We give back once an order; what the merchant does by hand in Stripe's dashboard is none of ours.
            made = self._api.refunds.list({"payment_intent": reference, "limit": 100})
            if any(metadata(refund, ORDER) == str(order_id) for refund in made.auto_paging_iter()):
                return
            try:
                self._api.refunds.create(told, {"idempotency_key": f"{order_id}:refund"})
            except stripe.InvalidRequestError as error:
                if error.code == "charge_disputed":
                    raise ChargedBackError from error
                # All of it was given back by hand: what the buyer was to get, they have.
                if error.code != "charge_already_refunded":
                    raise

    def pay_out(self, transfer: Transfer) -> str:
        """See Gateway."""
        group = str(transfer.payout_id)
        told = {
            "amount": cents(transfer.amount),
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

    def payments(self) -> Iterator[ProviderPayment]:
        """See Gateway."""
        with self._asking():
            yield from records.payments(self._api)

    def payouts(self) -> Iterator[ProviderPayout]:
        """See Gateway."""
        with self._asking():
            yield from records.payouts(self._api)

    def _create(self, purchase: Purchase) -> Any:
        told = {
            "amount": cents(purchase.amount),
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
        except stripe.APIError as error:
            made = self._find(purchase.order_id) if _is_repeated(error) else None
            if made is None:
                raise
            return made
        except stripe.CardError as error:
            if error.code == "authentication_required":
                raise ActionRequired from error
            raise Declined(error.user_message or "") from error
        except stripe.InvalidRequestError as error:
            if error.code == "amount_too_small":
                raise _invalid("packageId", "costs less than a payment must have") from error
            if error.code == "amount_too_large":
                raise _invalid("packageId", "costs more than one payment can have") from error
            # An unknown card is the one thing in the request that is the client's.
            if error.http_status == 404 or "payment_method" in (error.param or ""):
                raise _invalid("paymentToken", "is not a card that Stripe knows") from error
            # Ours to mend, and never by asking the same again: there would be no end to it.
            self._log.error("stripe makes no sense of a payment", order=str(purchase.order_id), error=str(error))
            raise Declined from error

    def _move(self, act: Callable[..., object], reference: str, told: Mapping[str, object], key: str, to: str) -> bool:
        """Whether a payment is captured, or cancelled, now; False when Stripe says no.

        It can be so but once, and its state tells. So a fault that Stripe repeats to the key is got past without one.
        """

        def is_there() -> bool:
            return bool(self._api.payment_intents.retrieve(reference).status == to)

        try:
            act(reference, told, {"idempotency_key": key} if key else {})
        except REFUSALS:
            return is_there()
        except stripe.APIError as error:
            if is_there():
                return True
            if not (key and _is_repeated(error)):
                raise
            return self._move(act, reference, told, "", to)
        return True

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


def _is_repeated(error: stripe.StripeError) -> bool:
    """Whether this was the answer to the same key before, so that what it was about has come to its end."""
    return (error.headers or {}).get("idempotent-replayed") == "true"


def _hold_of(intent: Any) -> timedelta:
    charge = getattr(intent, "latest_charge", None)
    card = getattr(getattr(charge, "payment_method_details", None), "card", None)
    until = getattr(card, "capture_before", None)
    return USUAL_HOLD if until is None or charge is None else timedelta(seconds=until - charge.created)


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument([Violation(field, message)])
