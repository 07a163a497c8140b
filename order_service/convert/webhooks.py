"""Webhook endpoints and deliveries: domain to proto, and the bodies of deliveries."""

from __future__ import annotations

import json
from datetime import UTC

from marketplace.webhook.v1 import webhook_pb2
from order_service.convert.feed import to_data
from order_service.domain.feed import FeedEvent
from order_service.domain.lifecycle import Timeouts
from order_service.domain.webhook import Delivery, Endpoint
from servicekit.call import Caller
from servicekit.times import to_timestamp


def to_endpoint(endpoint: Endpoint) -> webhook_pb2.WebhookEndpoint:
    """Convert an endpoint."""
    return webhook_pb2.WebhookEndpoint(
        id=str(endpoint.id),
        url=endpoint.url,
        types=endpoint.types,
        status=webhook_pb2.WebhookEndpoint.Status.Value(endpoint.status),
        created_at=to_timestamp(endpoint.created_at),
    )


def to_created(endpoint: Endpoint, secret: str) -> webhook_pb2.CreateWebhookEndpointResponse:
    """Convert a new endpoint, with its secret."""
    return webhook_pb2.CreateWebhookEndpointResponse(
        id=str(endpoint.id),
        url=endpoint.url,
        types=endpoint.types,
        status=webhook_pb2.WebhookEndpoint.Status.Value(endpoint.status),
        secret=secret,
        created_at=to_timestamp(endpoint.created_at),
    )


def to_delivery(delivery: Delivery) -> webhook_pb2.WebhookDelivery:
    """Convert a delivery."""
    return webhook_pb2.WebhookDelivery(
        id=str(delivery.id),
        event_id=str(delivery.event_id),
        status=webhook_pb2.WebhookDelivery.Status.Value(delivery.status),
        attempts=delivery.attempts,
        last_status=delivery.last_status,
        next_at=to_timestamp(delivery.next_at) if delivery.next_at else None,
    )


def to_body(event: FeedEvent, viewer: Caller, timeouts: Timeouts) -> str:
    """Return the body of a delivery, by Standard Webhooks.

    Its timestamp has microseconds: deliveries come in no promised order, and it tells which event was first.
    """
    at = event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body = {"type": event.type, "timestamp": at, "data": to_data(event, viewer, timeouts)}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
