"""Refunds at Stripe: each is looked for by our id before it is made, and Stripe's refusals are sorted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import stripe
import structlog

from order_service.payments.gateway import ProviderRefund, RefundNotMadeError, RefundRefusedError, RefundRequest
from order_service.payments.stripe.names import ORDER, REFUND
from order_service.payments.stripe.records import cents, list_refunds, to_refund
from servicekit.logs import describe

SOON, LATER, LATEST = timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1)

# Refusals whose cause mends itself (https://docs.stripe.com/error-codes): the reason, and the time until the next try.
NOT_MADE = {
    "amount_too_large": ("more of the payment was given back than we know", SOON),
    "charge_already_refunded": ("all of the payment was given back already", SOON),
    "charge_disputed": ("the buyer's bank has taken the payment back", LATEST),
    "refund_disputed_payment": ("the buyer's bank has taken the payment back", LATEST),
    "balance_insufficient": ("the balance at the payment provider does not cover it", LATER),
    "insufficient_funds": ("the balance at the payment provider does not cover it", LATER),
    # The API key is most likely another account's: nothing that we would tell a buyer.
    "resource_missing": ("the payment provider does not know the payment", LATEST),
}


def make_refund(api: Any, request: RefundRequest) -> ProviderRefund:
    """Make a refund, once for each id. Raises RefundNotMadeError, RefundRefusedError and the library's other errors."""
    made = _find(api, request)
    if made is not None:
        return made
    parameters = {
        "payment_intent": request.reference,
        "amount": cents(request.amount),
        "metadata": {ORDER: str(request.order_id), REFUND: str(request.id)},
    }
    try:
        refund = api.refunds.create(parameters, {"idempotency_key": f"{request.id}:refund"})
    except (stripe.InvalidRequestError, stripe.CardError) as error:
        raise _to_refusal(error, request) from error
    except stripe.APIError as error:
        if not is_repeated(error):
            raise
        # The first request is over, and lists are never out of date. So what is not there will never be.
        made = _find(api, request)
        if made is None:
            raise RefundNotMadeError("the payment provider had a fault", SOON) from error
        return made
    return to_refund(refund.to_dict())


def is_repeated(error: stripe.StripeError) -> bool:
    """Return whether Stripe repeats its first response to the key, so that the first request is over."""
    return (error.headers or {}).get("idempotent-replayed") == "true"


def _find(api: Any, request: RefundRequest) -> ProviderRefund | None:
    try:
        refunds = list_refunds(api, request.reference)
    except stripe.InvalidRequestError as error:
        raise _to_refusal(error, request) from error
    return next((refund for refund in refunds if refund.refund_id == request.id), None)


def _to_refusal(error: stripe.StripeError, request: RefundRequest) -> RefundNotMadeError | RefundRefusedError:
    code = error.code or ""
    # For an amount above the rest of the payment, Stripe documents a code and has been seen to send none.
    if not code and getattr(error, "param", None) == "amount":
        code = "amount_too_large"
    structlog.get_logger().warning(
        "stripe makes no refund", order=str(request.order_id), refund=str(request.id), code=code, error=describe(error)
    )
    if code in NOT_MADE:
        return RefundNotMadeError(*NOT_MADE[code])
    return RefundRefusedError(f"{code}: {error.user_message}")
