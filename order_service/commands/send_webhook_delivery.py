"""Send an event to a webhook endpoint."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter, Histogram

from order_service.domain.feed import FeedEvent
from order_service.domain.webhook import (
    Delivery,
    DeliveryStatus,
    Endpoint,
    EndpointStatus,
    is_accepted,
    may_send,
    retry_delay,
)
from order_service.store.store import Store
from order_service.webhooks.places import DeliveryPlaces, NoPlace
from order_service.webhooks.secrets import SecretBox, UnknownKey, signed_headers
from order_service.webhooks.sender import Outcome, Sender
from servicekit.call import Caller
from servicekit.database import retry_conflicts
from servicekit.outbox import PutOff

# The body of a delivery: the event as this caller would read it.
Render = Callable[[FeedEvent, Caller], str]

# Until somebody restores the key, or until this worker is started again with a new one.
UNKNOWN_KEY_DELAY = timedelta(minutes=1)

ENDED = Counter("marketplace_webhook_deliveries_total", "Deliveries of webhooks that ended in this worker", ["status"])
AGE = Histogram(
    "marketplace_webhook_delivery_age_seconds",
    "Seconds from an event to its acceptance by a receiver",
    buckets=(0.1, 0.3, 1, 3, 10, 60, 600, 3600, 14_400, 86_400),
)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt that is counted, and what is sent."""

    delivery: Delivery
    endpoint: Endpoint
    event: FeedEvent


class SendWebhookDelivery:
    """Call a receiver and store the outcome, at least once for each event.

    The receiver is called between two transactions. The first counts the attempt, the second stores the outcome. After
    a crash between them the outbox row is still there, and the event is sent again.
    """

    def __init__(
        self, store: Store, sender: Sender, places: DeliveryPlaces, secret_box: SecretBox, render: Render
    ) -> None:
        self._store = store
        self._sender = sender
        self._places = places
        self._secret_box = secret_box
        self._render = render
        self._log = structlog.get_logger()

    def execute(self, delivery_id: UUID, round_number: int) -> None:
        """Send the delivery, unless a later round than this does, or it is over.

        Raises PutOff when it has to be sent later.
        """
        endpoint = self._endpoint_of(delivery_id)
        if endpoint is None:
            return
        try:
            with self._places.place(endpoint.owner_id):
                self._send(delivery_id, round_number)
        except NoPlace as waiting:
            raise PutOff(waiting.delay, str(waiting)) from None

    def _endpoint_of(self, delivery_id: UUID) -> Endpoint | None:
        delivery = self._store.webhook_deliveries.get(delivery_id)
        return self._store.webhook_endpoints.get(delivery.endpoint_id) if delivery else None

    def _send(self, delivery_id: UUID, round_number: int) -> None:
        attempt = self._begin(delivery_id, round_number)
        if attempt is None:
            return
        endpoint, event = attempt.endpoint, attempt.event
        body = self._render(event, endpoint.viewer)
        headers = signed_headers(self._decrypted(endpoint), event.id, body)
        outcome = self._sender.send(endpoint.url, headers, body)
        delay = self._end(attempt, outcome)
        if delay is not None:
            raise PutOff(delay, f"the receiver responded with {outcome.status or outcome.reason}")

    @retry_conflicts
    def _begin(self, delivery_id: UUID, round_number: int) -> _Attempt | None:
        """Count an attempt; None when there is nothing to send. Raises PutOff while the next attempt is not due."""
        with self._store.transaction("webhook sending"):
            delivery = self._store.webhook_deliveries.lock(delivery_id)
            if delivery is None or delivery.status is not DeliveryStatus.PENDING or delivery.round != round_number:
                return None
            endpoint = self._store.webhook_endpoints.get(delivery.endpoint_id)
            event = self._store.feed.get(delivery.event_id)
            if endpoint is None:
                return None
            if event is None or not may_send(delivery, endpoint):
                self._store.webhook_deliveries.save_outcome(delivery, delivery.last_status, None, DeliveryStatus.FAILED)
                ENDED.labels(DeliveryStatus.FAILED).inc()
                return None
            assert delivery.next_at is not None
            if (early := delivery.next_at - self._store.now()) > timedelta(0):
                # A worker died between the outcome and the outbox.
                raise PutOff(early, "waits for the next attempt")
            self._decrypted(endpoint)
            return _Attempt(self._store.webhook_deliveries.begin(delivery_id), endpoint, event)

    @retry_conflicts
    def _end(self, attempt: _Attempt, outcome: Outcome) -> timedelta | None:
        """Store the outcome. Return the time to the next attempt; None when there is none of this round."""
        with self._store.transaction("webhook sent"):
            delivery = self._store.webhook_deliveries.lock(attempt.delivery.id)
            endpoint = self._store.webhook_endpoints.get(attempt.endpoint.id)
            if delivery is None or endpoint is None:
                return None
            if delivery.round != attempt.delivery.round:
                self._store.webhook_deliveries.set_last_status(delivery, outcome.status)
                return None
            now = self._store.now()
            if is_accepted(outcome.status):
                self._accepted(delivery, attempt.event, outcome, now)
                return None
            return self._failed(delivery, endpoint, outcome, now)

    def _accepted(self, delivery: Delivery, event: FeedEvent, outcome: Outcome, now: datetime) -> None:
        self._store.webhook_deliveries.save_outcome(delivery, outcome.status, None, DeliveryStatus.DELIVERED)
        if delivery.is_retry:
            self._set_status(delivery.endpoint_id, EndpointStatus.ENABLED)
        ENDED.labels(DeliveryStatus.DELIVERED).inc()
        AGE.observe(max(0.0, (now - event.at).total_seconds()))

    def _failed(self, delivery: Delivery, endpoint: Endpoint, outcome: Outcome, now: datetime) -> timedelta | None:
        delay = retry_delay(delivery, endpoint, outcome.status, now, random.random())  # noqa: S311  # jitter
        status = DeliveryStatus.FAILED if delay is None else DeliveryStatus.PENDING
        self._store.webhook_deliveries.save_outcome(delivery, outcome.status, delay, status)
        log = self._log.bind(endpoint=str(endpoint.id), delivery=str(delivery.id), status=outcome.status)
        log.info("webhook not accepted", reason=outcome.reason, attempts=delivery.attempts)
        if delay is None:
            ENDED.labels(DeliveryStatus.FAILED).inc()
            self._set_status(endpoint.id, EndpointStatus.DISABLED)
        return delay

    def _set_status(self, endpoint_id: UUID, status: EndpointStatus) -> None:
        if self._store.webhook_endpoints.set_status(endpoint_id, status):
            self._log.warning("webhook endpoint changed", endpoint=str(endpoint_id), status=status)

    def _decrypted(self, endpoint: Endpoint) -> str:
        """Return the endpoint's secret. Raises PutOff when no key decrypts it."""
        try:
            return self._secret_box.decrypt(endpoint.secret)
        except UnknownKey:
            self._log.error("WEBHOOK_KEYS lacks the key of a webhook endpoint", endpoint=str(endpoint.id))
            raise PutOff(UNKNOWN_KEY_DELAY, "WEBHOOK_KEYS lacks the key of the endpoint") from None
