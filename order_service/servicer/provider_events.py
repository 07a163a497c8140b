"""The RPC that receives a payment provider's webhooks. The pipeline around it is servicekit.pipeline."""

from collections.abc import Callable

from marketplace.order.v1 import order_pb2
from order_service.commands.record_provider_event import RecordProviderEvent
from order_service.payments.gateway import ProviderEvent
from servicekit.call import Call

# Takes body and signature; returns None for an event of no interest. Raises InvalidArgument.
WebhookParser = Callable[[bytes, str], ProviderEvent | None]


class ProviderEventHandlers:
    """Stripe's webhooks."""

    def __init__(self, parse_webhook: WebhookParser, record_event: RecordProviderEvent) -> None:
        self._parse_webhook = parse_webhook
        self._record_event = record_event

    def ReceiveStripeEvent(
        self, request: order_pb2.ReceiveStripeEventRequest, call: Call
    ) -> order_pb2.ReceiveStripeEventResponse:
        event = self._parse_webhook(request.event.data, call.metadata.get("stripe-signature", ""))
        if event is not None:
            self._record_event.execute(event)
        return order_pb2.ReceiveStripeEventResponse()
