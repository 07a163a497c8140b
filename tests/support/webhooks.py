"""Calls about webhook endpoints and deliveries, without a network between client and service."""

from __future__ import annotations

from typing import Any

from marketplace.webhook.v1 import webhook_pb2
from servicekit.database import Row, Statement
from tests.support.orderservice import BUYER, OrderBackend
from tests.support.rpc import Answer
from tests.support.webhook_receiver import Respond, WebhookReceiver

OUTBOX = Statement("SELECT key, version FROM outbox WHERE topic = 'webhook' ORDER BY id")


def create(
    world: OrderBackend, url: str = "https://93.184.216.34/hook", sent_token: str | None = BUYER, types: Any = ()
) -> Answer:
    request = webhook_pb2.CreateWebhookEndpointRequest(url=url, types=types)
    return world.webhooks.call("CreateWebhookEndpoint", request, sent_token)


def endpoint(
    world: OrderBackend,
    receiver: WebhookReceiver,
    name: str = "in",
    sent_token: str = BUYER,
    types: Any = (),
    respond: Respond | int = 204,
) -> str:
    """Create an endpoint of the receiver and return its id."""
    created = create(world, receiver.url_of(name), sent_token, types).response
    receiver.expect(name, created.secret, respond)
    return str(created.id)


def get(world: OrderBackend, endpoint_id: str, sent_token: str | None = BUYER) -> Answer:
    request = webhook_pb2.GetWebhookEndpointRequest(endpoint_id=endpoint_id)
    return world.webhooks.call("GetWebhookEndpoint", request, sent_token)


def status(world: OrderBackend, endpoint_id: str, sent_token: str = BUYER) -> str:
    """Return the status of an endpoint."""
    return webhook_pb2.WebhookEndpoint.Status.Name(get(world, endpoint_id, sent_token).response.endpoint.status)


def delete(world: OrderBackend, endpoint_id: str, sent_token: str | None = BUYER) -> Answer:
    request = webhook_pb2.DeleteWebhookEndpointRequest(endpoint_id=endpoint_id)
    return world.webhooks.call("DeleteWebhookEndpoint", request, sent_token)


def listed(world: OrderBackend, sent_token: str | None = BUYER) -> list[str]:
    """Return the ids of the caller's endpoints."""
    answer = world.webhooks.call("ListWebhookEndpoints", webhook_pb2.ListWebhookEndpointsRequest(), sent_token)
    return [each.id for each in answer.response.results]


def deliveries_page(world: OrderBackend, endpoint_id: str, sent_token: str | None = BUYER, **page: Any) -> Answer:
    request = webhook_pb2.ListWebhookDeliveriesRequest(endpoint_id=endpoint_id, **page)
    return world.webhooks.call("ListWebhookDeliveries", request, sent_token)


def deliveries(world: OrderBackend, endpoint_id: str, sent_token: str = BUYER) -> list[Any]:
    """Return the newest deliveries of an endpoint, newest first."""
    return list(deliveries_page(world, endpoint_id, sent_token, page_size=100).response.results)


def shown(delivery: Any) -> tuple[str, int, int | None]:
    """Return a delivery's status, attempts and last status."""
    name = webhook_pb2.WebhookDelivery.Status.Name(delivery.status)
    assert delivery.HasField("next_at") == (name == "PENDING")
    return name, delivery.attempts, delivery.last_status if delivery.HasField("last_status") else None


def retry(world: OrderBackend, endpoint_id: str, delivery_id: str, sent_token: str | None = BUYER) -> Answer:
    request = webhook_pb2.RetryWebhookDeliveryRequest(endpoint_id=endpoint_id, delivery_id=delivery_id)
    return world.webhooks.call("RetryWebhookDelivery", request, sent_token)


def outbox(world: OrderBackend) -> list[Row]:
    """Return the keys and versions of the webhooks' rows in the outbox."""
    return world.database.fetch_all(OUTBOX)
