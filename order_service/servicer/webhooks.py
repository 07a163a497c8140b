"""The RPCs of `marketplace.webhook.v1.WebhookService`. The pipeline around them is servicekit.pipeline."""

from __future__ import annotations

from uuid import UUID

from marketplace.webhook.v1 import webhook_pb2
from order_service.commands.create_webhook_endpoint import CreateWebhookEndpoint
from order_service.commands.delete_webhook_endpoint import DeleteWebhookEndpoint
from order_service.commands.retry_webhook_delivery import RetryWebhookDelivery
from order_service.convert import webhooks as convert
from order_service.domain.webhook import Endpoint
from order_service.store.store import Store
from order_service.store.webhook_deliveries import START, DeliveryKey
from servicekit import paging
from servicekit.call import Call
from servicekit.errors import NotFound
from servicekit.outside import calls_outside


class WebhookServicer:
    """Webhook endpoints and their deliveries."""

    def __init__(
        self,
        store: Store,
        create_endpoint: CreateWebhookEndpoint,
        delete_endpoint: DeleteWebhookEndpoint,
        retry_delivery: RetryWebhookDelivery,
    ) -> None:
        self._store = store
        self._create_endpoint = create_endpoint
        self._delete_endpoint = delete_endpoint
        self._retry_delivery = retry_delivery

    # It asks a name server for the URL's host.
    @calls_outside
    def CreateWebhookEndpoint(
        self, request: webhook_pb2.CreateWebhookEndpointRequest, call: Call
    ) -> webhook_pb2.CreateWebhookEndpointResponse:
        return convert.to_created(*self._create_endpoint.execute(request.url, request.types, call.caller))

    def ListWebhookEndpoints(
        self, request: webhook_pb2.ListWebhookEndpointsRequest, call: Call
    ) -> webhook_pb2.ListWebhookEndpointsResponse:
        endpoints = self._store.webhook_endpoints.of_owner(call.user_id)
        return webhook_pb2.ListWebhookEndpointsResponse(results=map(convert.to_endpoint, endpoints))

    def GetWebhookEndpoint(
        self, request: webhook_pb2.GetWebhookEndpointRequest, call: Call
    ) -> webhook_pb2.GetWebhookEndpointResponse:
        return webhook_pb2.GetWebhookEndpointResponse(
            endpoint=convert.to_endpoint(self._endpoint(request.endpoint_id, call))
        )

    def DeleteWebhookEndpoint(
        self, request: webhook_pb2.DeleteWebhookEndpointRequest, call: Call
    ) -> webhook_pb2.DeleteWebhookEndpointResponse:
        self._delete_endpoint.execute(UUID(request.endpoint_id), call.caller)
        return webhook_pb2.DeleteWebhookEndpointResponse()

    def ListWebhookDeliveries(
        self, request: webhook_pb2.ListWebhookDeliveriesRequest, call: Call
    ) -> webhook_pb2.ListWebhookDeliveriesResponse:
        key = paging.decode(request, paging.timestamp, paging.uuid)
        size = paging.page_size(request.page_size)
        endpoint = self._endpoint(request.endpoint_id, call)
        after = DeliveryKey(*key) if key else START
        deliveries = self._store.webhook_deliveries.page(endpoint.id, after=after, limit=size + 1)
        response = webhook_pb2.ListWebhookDeliveriesResponse(results=map(convert.to_delivery, deliveries[:size]))
        if len(deliveries) > size:
            last = deliveries[size - 1]
            response.next_page_token = paging.encode(request, DeliveryKey(last.created_at, last.id))
        return response

    def RetryWebhookDelivery(
        self, request: webhook_pb2.RetryWebhookDeliveryRequest, call: Call
    ) -> webhook_pb2.RetryWebhookDeliveryResponse:
        delivery = self._retry_delivery.execute(UUID(request.endpoint_id), UUID(request.delivery_id), call.caller)
        return webhook_pb2.RetryWebhookDeliveryResponse(delivery=convert.to_delivery(delivery))

    def _endpoint(self, endpoint_id: str, call: Call) -> Endpoint:
        """Return an endpoint that the caller may see. Raises NotFound."""
        endpoint = self._store.webhook_endpoints.get(UUID(endpoint_id))
        if endpoint is None:
            raise NotFound("Webhook endpoint")
        endpoint.check_access(call.caller)
        return endpoint
