"""Stripe's events, which come as webhooks, checked by their signature, and from the list of events that is polled.

https://docs.stripe.com/webhooks: events may be lost, repeated, and come in any order. An event has the same id in both.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import stripe

from order_service.payments.event_source import PollCursor
from order_service.payments.gateway import ConfirmationReport, PaymentReport, ProviderEvent, TransferReport
from order_service.payments.stripe import records
from order_service.payments.stripe.names import ORDER
from order_service.payments.stripe.records import Object
from servicekit.errors import InvalidArgument, Violation

# The largest age of a webhook, in seconds, so that an intercepted one cannot be replayed later.
TOLERANCE = 300

REFUNDS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
# Its charge lists its refunds in API versions before 2022-11-15 only; later, `refund.created` says the same.
REFUNDED = "charge.refunded"
REINSTATED = "charge.dispute.funds_reinstated"
DISPUTES = (
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    REINSTATED,
    "charge.dispute.closed",
)
TRANSFERS = ("transfer.reversed", "transfer.updated")
# What becomes of a payment that the buyer has to confirm: https://docs.stripe.com/payments/paymentintents/lifecycle
CONFIRMATIONS = (
    "payment_intent.amount_capturable_updated",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
)
# The events that a webhook subscribes to, and that are polled. Stripe takes up to 20 types.
TYPES = (*REFUNDS, REFUNDED, *DISPUTES, *TRANSFERS, *CONFIRMATIONS)

EVERY = timedelta(minutes=1)
# An event may appear in the list after its time of creation.
OVERLAP = timedelta(minutes=10)
# The cursor waits so long for an event that OrderService could not record yet. Later events come again meanwhile.
LONGEST_WAIT = timedelta(hours=2)
# Before the first poll, Stripe has repeated its webhooks for three days.
FIRST_POLL = timedelta(days=3)
# The cursor moves after each slice of time, so that a long list does not begin anew.
SLICE = timedelta(hours=6)


def webhook_parser(secret: str) -> Callable[[bytes, str], ProviderEvent | None]:
    """Return a parser of webhooks that are signed with this secret. It returns None for an event of no interest.

    The parser raises InvalidArgument for a webhook that is not signed by Stripe, was signed long ago, or is malformed.
    """

    def parse(payload: bytes, signature: str) -> ProviderEvent | None:
        try:
            text = payload.decode()
            stripe.WebhookSignature.verify_header(text, signature, secret, TOLERANCE)
            return to_event(json.loads(text))
        except stripe.SignatureVerificationError as error:
            raise InvalidArgument([Violation("stripe-signature", "is not Stripe's, or too old")]) from error
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise InvalidArgument([Violation("", "is not an event of Stripe's")]) from error

    return parse


def to_event(event: Object) -> ProviderEvent | None:
    """Convert an event; None when it is of no interest."""
    report = _to_report(event["type"], event["data"]["object"])
    return None if report is None else ProviderEvent(event["id"], report)


class StripeEvents:
    """An EventSource: the list of Stripe's events of the last 30 days. `translating` translates the library's errors.

    It is asked once a minute, for the events since the cursor's time and ten minutes before it.
    """

    def __init__(self, api: Any, translating: Callable[[], AbstractContextManager[None]]) -> None:
        self._api = api
        self._translating = translating
        self._next_at = 0.0
        # The id of the event that was acknowledged last: one is recorded before the next is taken.
        self._acknowledged = ""

    def poll(self, cursor: PollCursor) -> Iterator[ProviderEvent]:
        """See EventSource."""
        # Before the cursor is read, which is a query.
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + EVERY.total_seconds()
        # Stripe's events have the real time, whatever the clock of OrderService's database says.
        now = datetime.now(UTC)
        polled_until = cursor.polled_until() or now - FIRST_POLL
        if now - polled_until < EVERY:
            return
        since = polled_until - OVERLAP
        # The time of the oldest event that waits.
        waits_since = now
        while since < now:
            until = min(since + SLICE, now)
            for created, event in self._between(since, until):
                yield event
                if event.event_id != self._acknowledged:
                    waits_since = min(waits_since, max(created, now - LONGEST_WAIT))
            if min(until, waits_since) > polled_until:
                cursor.set_polled_until(min(until, waits_since))
            since = until

    def acknowledge(self, event_id: str) -> None:
        """See EventSource. Stripe keeps no record of it."""
        self._acknowledged = event_id

    def _between(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, ProviderEvent]]:
        parameters = {"types": list(TYPES), "created": records.window(since, until), "limit": records.PAGE}
        with self._translating():
            for event in self._api.events.list(parameters).auto_paging_iter():
                if converted := to_event(event.to_dict()):
                    yield datetime.fromtimestamp(event.created, UTC), converted


def _to_report(kind: str, resource: Object) -> PaymentReport | TransferReport | ConfirmationReport | None:
    if kind in CONFIRMATIONS:
        return _to_confirmation(resource)
    if kind in TRANSFERS:
        return records.to_transfer(resource)
    reference = resource.get("payment_intent")
    if not reference:
        return None
    if kind in REFUNDS:
        return PaymentReport(reference, refunds=(records.to_refund(resource),))
    if kind == REFUNDED:
        refunds = (resource.get("refunds") or {}).get("data") or []
        return PaymentReport(reference, refunds=tuple(map(records.to_refund, refunds))) if refunds else None
    if kind in DISPUTES:
        return _to_dispute_report(kind, reference, resource)
    return None


def _to_dispute_report(kind: str, reference: str, dispute: Object) -> PaymentReport | None:
    chargeback = records.to_chargeback(dispute, is_reinstated=kind == REINSTATED)
    if chargeback is None:
        return None
    return PaymentReport(reference, chargebacks=(chargeback,), fees=records.dispute_fees(dispute))


def _to_confirmation(intent: Object) -> ConfirmationReport | None:
    try:
        return ConfirmationReport(UUID((intent.get("metadata") or {}).get(ORDER)))
    except (ValueError, AttributeError, TypeError):
        # A payment of the same account that is not ours.
        return None
