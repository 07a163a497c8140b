"""The purchase of an attempt, as the payment provider is asked for it."""

from datetime import datetime

from order_service.domain.attempt import Attempt
from order_service.payments.gateway import Purchase


def purchase_of(attempt: Attempt, now: datetime) -> Purchase:
    """Return the purchase of an attempt to authorize a payment."""
    draft = attempt.draft
    assert draft is not None
    return Purchase(
        order_id=draft.order_id,
        buyer_id=draft.request.buyer_id,
        amount=draft.terms.price,
        currency=draft.currency,
        token=draft.request.payment_token,
        age=now - attempt.created_at,
        reference=attempt.reference,
    )
