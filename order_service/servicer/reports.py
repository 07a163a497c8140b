"""The RPC by which a payment provider reports."""

from collections.abc import Callable

from marketplace.order.v1 import order_pb2
from order_service.notices import Notices
from order_service.payments.gateway import ProviderEvent
from servicekit.call import Call

# Reads an event by its bytes and its signature; None when it is of no interest. Raises InvalidArgument.
Reader = Callable[[bytes, str], ProviderEvent | None]


class ReportHandlers:
    """What Stripe says by itself."""

    def __init__(self, provider_events: Notices, reader: Reader) -> None:
        self._provider_events = provider_events
        self._reader = reader

    def ReceiveStripeEvent(
        self, request: order_pb2.ReceiveStripeEventRequest, call: Call
    ) -> order_pb2.ReceiveStripeEventResponse:
        event = self._reader(request.event.data, call.metadata.get("stripe-signature", ""))
        if event is not None:
            self._provider_events.take(event)
        return order_pb2.ReceiveStripeEventResponse()
