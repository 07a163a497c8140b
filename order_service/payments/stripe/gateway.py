"""Stripe: PaymentIntents with manual capture, refunds, and transfers to sellers' connected accounts.

Our own ids are the idempotency keys of requests to Stripe, which keeps them for a day. A request that is repeated later
first looks for the earlier result: a payment by the order's id in its metadata, a refund among those of its payment, a
transfer by its group. Stripe also repeats its own faults to the same key: docs/adr/0011-stripe.md. Amounts are sent as
cents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import stripe
import structlog

from order_service.payments.gateway import (
    AlreadyCapturedError,
    AuthorizationResult,
    ConfirmationNeededError,
    Declined,
    NotCoveredError,
    PaymentReport,
    PayoutRefusedError,
    ProviderPayment,
    ProviderRefund,
    Purchase,
    RefundRequest,
    Transfer,
    TransferReport,
)
from order_service.payments.stripe import records
from order_service.payments.stripe.events import StripeEvents
from order_service.payments.stripe.http_client import DeadlineHttpClient
from order_service.payments.stripe.names import ORDER, PAYOUT
from order_service.payments.stripe.records import cents, our_id
from order_service.payments.stripe.refunds import is_repeated, make_refund
from servicekit.errors import InvalidArgument, Unavailable, Violation
from servicekit.logs import describe

# Stripe may forget a key after 24 hours. Its search has caught up some time before that.
KEY_LIFETIME = timedelta(hours=20)
# How far Stripe's clock and ours may be apart.
CLOCKS_APART_SECONDS = 300
# The life of a card authorization where Stripe names none: below the seven days that it documents for most cards.
DEFAULT_VALIDITY = timedelta(days=6, hours=12)

# https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts, in the settlement currency itself; for others
# Stripe converts, and says so when a payment is too small.
MINIMUMS = {
    "AED": "2.00", "AUD": "0.50", "BGN": "1.00", "BRL": "0.50", "CAD": "0.50", "CHF": "0.50", "CZK": "15.00",
    "DKK": "2.50", "EUR": "0.50", "GBP": "0.30", "HKD": "4.00", "INR": "0.50", "MXN": "10.00", "MYR": "2.00",
    "NOK": "3.00", "NZD": "0.50", "PLN": "2.00", "RON": "2.00", "SEK": "3.00", "SGD": "0.50", "THB": "10.00",
    "USD": "0.50",
}  # fmt: skip

# The expansion of a payment that names its fee.
FEE = ("latest_charge.balance_transaction",)

# Errors that leave the outcome unknown: the request may or may not have been executed.
OUTCOME_UNKNOWN = (stripe.APIConnectionError, stripe.RateLimitError, stripe.IdempotencyError, stripe.APIError)
# Errors of a refusal: nothing was done.
REFUSALS = (stripe.InvalidRequestError, stripe.CardError)
# Errors of a wrong API key. Nothing was done, and only the operator can help.
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
        # Any: the library's own types do not fit its results.
        self._api: Any = client.v1
        self.events = StripeEvents(self._api, self._translating)

    def authorize(self, purchase: Purchase) -> AuthorizationResult:
        """See Gateway."""
        with self._translating():
            intent = self._intent(purchase)
            # The card was refused, or its confirmation; the buyer could still pay with another card, so it is closed.
            if intent.status == "requires_payment_method":
                self._cancel(intent.id)
        match intent.status:
            # After the capture, too: another call may have learnt of the confirmation first.
            case "requires_capture" | "succeeded":
                return AuthorizationResult(intent.id, _valid_for(intent))
            case "requires_action":
                raise ConfirmationNeededError(intent.id, intent.client_secret)
            case "processing":
                raise Unavailable
            case _:
                raise Declined

    def abandon(self, purchase: Purchase) -> None:
        """See Gateway."""
        with self._translating():
            for reference in [purchase.reference] if purchase.reference else self._close(purchase):
                self._cancel(reference)

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> PaymentReport:
        """See Gateway."""
        parameters = {"amount_to_capture": cents(amount), "expand": list(FEE)}
        with self._translating():
            intent = self._move(
                self._api.payment_intents.capture, reference, parameters, f"{order_id}:capture", "succeeded"
            )
        if intent is None:
            raise Declined
        return PaymentReport(reference, fees=records.payment_fees(intent.to_dict()))

    def void(self, order_id: UUID, reference: str) -> None:
        """See Gateway."""
        with self._translating():
            self._cancel(reference, f"{order_id}:void")

    def refund(self, request: RefundRequest) -> ProviderRefund:
        """See Gateway."""
        with self._translating():
            return make_refund(self._api, request)

    def pay_out(self, transfer: Transfer) -> str:
        """See Gateway."""
        group = str(transfer.payout_id)
        parameters = {
            "amount": cents(transfer.amount),
            "currency": transfer.currency.lower(),
            "destination": transfer.destination,
            "transfer_group": group,
            "metadata": {PAYOUT: group},
        }
        # Stripe repeats a refusal to the same key, also after the money has come.
        key = f"{group}:pay_out:{transfer.refusals}" if transfer.refusals else f"{group}:pay_out"
        with self._translating():
            transfers = self._api.transfers.list({"transfer_group": group}).data
            try:
                if not transfers:
                    transfers = [self._api.transfers.create(parameters, {"idempotency_key": key})]
            except stripe.InvalidRequestError as error:
                # Captured money reaches the platform's balance at Stripe later; then the transfer succeeds.
                if error.code == "balance_insufficient":
                    raise NotCoveredError from error
                raise PayoutRefusedError(f"{error.code}: {error.user_message}") from error
        return str(transfers[0].id)

    def check_destination(self, destination: str) -> None:
        """See Gateway."""
        with self._translating():
            try:
                account = self._api.accounts.retrieve(destination)
            # For an account of another platform this key has no permission.
            except (stripe.InvalidRequestError, stripe.PermissionError):
                raise _invalid("destination", "is not the id of an account that is connected to us") from None
        if getattr(getattr(account, "capabilities", None), "transfers", None) != "active":
            raise _invalid("destination", "cannot receive money yet: its owner has not finished Stripe's onboarding")

    def look_up(self, order_id: UUID, reference: str) -> PaymentReport:
        """See Gateway."""
        with self._translating():
            try:
                return records.look_up(self._api, reference)
            except stripe.InvalidRequestError as error:
                # The API key is most likely another account's.
                self._log.error("stripe does not know a payment", order=str(order_id), error=describe(error))
                raise Unavailable from error

    def list_payments(self, since: datetime, until: datetime) -> Iterator[ProviderPayment]:
        """See Gateway. Newest first."""
        with self._translating():
            yield from records.list_payments(self._api, since, until)

    def list_transfers(self, since: datetime, until: datetime) -> Iterator[TransferReport]:
        """See Gateway. Newest first."""
        with self._translating():
            yield from records.list_transfers(self._api, since, until)

    def _intent(self, purchase: Purchase) -> Any:
        """Return the purchase's payment with its present status; make it when there is none."""
        reference = purchase.reference
        if not reference:
            intent = self._find(purchase.order_id) if purchase.age > KEY_LIFETIME else None
            intent = intent or self._create(purchase)
            # Stripe repeats its first response to the same key, whatever has become of the payment.
            if intent.status not in ("processing", "requires_action"):
                return intent
            reference = intent.id
        return self._api.payment_intents.retrieve(reference, {"expand": ["latest_charge"]})

    def _create(self, purchase: Purchase) -> Any:
        parameters = {
            **self._request(purchase),
            "confirm": True,
            # A confirmation is made in the buyer's browser, by Stripe.js.
            "use_stripe_sdk": True,
            "expand": ["latest_charge"],
            **_card(purchase.token),
        }
        try:
            return self._api.payment_intents.create(parameters, _authorize_key(purchase))
        except stripe.APIError as error:
            intent = self._find(purchase.order_id) if is_repeated(error) else None
            if intent is None:
                raise
            return intent
        except stripe.CardError as error:
            raise Declined(error.user_message or "") from error
        except stripe.InvalidRequestError as error:
            if error.code == "amount_too_small":
                raise _invalid("packageId", "costs less than a payment must have") from error
            if error.code == "amount_too_large":
                raise _invalid("packageId", "costs more than one payment can have") from error
            # The card is the only part of the request that comes from the client.
            if error.http_status == 404 or "payment_method" in (error.param or ""):
                raise _invalid("paymentToken", "is not a card that Stripe knows") from error
            # Our own fault. Repeating the request would never end.
            self._log.error(
                "stripe refuses a payment request as malformed", order=str(purchase.order_id), error=describe(error)
            )
            raise Declined from error

    def _close(self, purchase: Purchase) -> list[str]:
        """Return the ids of the purchase's payments, after which no other one can be made.

        A request with the idempotency key of `authorize` and other parameters, that confirms nothing, takes the key
        when `authorize` has not arrived; then it never can. Otherwise Stripe refuses it, and the payment is listed.
        https://docs.stripe.com/api/idempotent_requests
        """
        if purchase.age > KEY_LIFETIME:
            intent = self._find(purchase.order_id)
            return [intent.id] if intent else []
        try:
            return [self._api.payment_intents.create(self._request(purchase), _authorize_key(purchase)).id]
        except stripe.IdempotencyError as error:
            # `authorize` is under way at this moment.
            if error.http_status == 409:
                raise
        except stripe.APIError as error:
            if not is_repeated(error):
                raise
        except stripe.InvalidRequestError:
            # Stripe takes no such amount, so it cannot take the authorization either.
            pass
        since = int(time.time() - purchase.age.total_seconds() - CLOCKS_APART_SECONDS)
        page = self._api.payment_intents.list({"created": {"gte": since}, "limit": 100})
        return [each.id for each in page.auto_paging_iter() if our_id(each.to_dict(), ORDER) == purchase.order_id]

    def _request(self, purchase: Purchase) -> dict[str, object]:
        return {
            "amount": cents(purchase.amount),
            "currency": self._currency,
            "capture_method": "manual",
            # No payment method that redirects the buyer to another page.
            "payment_method_types": ["card"],
            "metadata": {ORDER: str(purchase.order_id), "buyer_id": str(purchase.buyer_id)},
        }

    def _cancel(self, reference: str, key: str = "") -> None:
        """Cancel a payment. Raises AlreadyCapturedError, and Unavailable while it cannot be cancelled."""
        if self._move(self._api.payment_intents.cancel, reference, {}, key, "canceled") is not None:
            return
        if self._api.payment_intents.retrieve(reference).status == "succeeded":
            raise AlreadyCapturedError
        raise Unavailable

    def _move(
        self, request: Callable[..., Any], reference: str, parameters: Mapping[str, object], key: str, status: str
    ) -> Any:
        """Make a request that moves a payment to `status`; return the payment, or None when it has another status.

        A payment gets there at most once, and its status shows it. So where Stripe repeats a fault to the key, the
        request is made again without one.
        """

        def moved() -> Any:
            intent = self._api.payment_intents.retrieve(reference, {"expand": list(FEE)})
            return intent if intent.status == status else None

        try:
            return request(reference, parameters, {"idempotency_key": key} if key else {})
        except REFUSALS:
            return moved()
        except stripe.APIError as error:
            intent = moved()
            if intent is not None:
                return intent
            if not (key and is_repeated(error)):
                raise
            return self._move(request, reference, parameters, "", status)

    def _find(self, order_id: UUID) -> Any:
        query = f"metadata['{ORDER}']:'{order_id}'"
        intents = self._api.payment_intents.search({"query": query, "expand": ["data.latest_charge"]}).data
        return intents[0] if intents else None

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Raise Unavailable for an error that leaves the outcome unknown."""
        try:
            yield
        except MISCONFIGURED as error:
            self._log.error("stripe refuses our API key", error=describe(error))
            raise Unavailable from error
        except OUTCOME_UNKNOWN as error:
            raise Unavailable from error


def _card(token: str) -> dict[str, object]:
    """Return the parameters of a card: a PaymentMethod, or a token of the older kind."""
    if token.startswith("tok_"):
        return {"payment_method_data": {"type": "card", "card": {"token": token}}}
    return {"payment_method": token}


def _authorize_key(purchase: Purchase) -> dict[str, str]:
    return {"idempotency_key": f"{purchase.order_id}:authorize"}


def _valid_for(intent: Any) -> timedelta:
    charge = getattr(intent, "latest_charge", None)
    card = getattr(getattr(charge, "payment_method_details", None), "card", None)
    until = getattr(card, "capture_before", None)
    return DEFAULT_VALIDITY if until is None or charge is None else timedelta(seconds=until - charge.created)


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument([Violation(field, message)])
