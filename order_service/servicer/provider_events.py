"""The RPC that receives a payment provider's webhooks. The pipeline around it is servicekit.pipeline."""

from collections.abc import Callable

from marketplace.order.v1 import order_pb2
from order_service.commands.record_chargeback import RecordChargeback
from order_service.commands.wake_attempt import WakeAttempt
from order_service.payments.gateway import ConfirmationReport, ProviderEvent
from servicekit.call import Call

# Takes body and signature; returns None for an event of no interest. Raises InvalidArgument.
WebhookParser = Callable[[bytes, str], ProviderEvent | ConfirmationReport | None]


class ProviderEventHandlers:
    """Stripe's webhooks."""

    def __init__(
        self, parse_webhook: WebhookParser, record_chargeback: RecordChargeback, wake_attempt: WakeAttempt
    ) -> None:
        self._parse_webhook = parse_webhook
        self._record_chargeback = record_chargeback
        self._wake_attempt = wake_attempt

    def ReceiveStripeEvent(
        self, request: order_pb2.ReceiveStripeEventRequest, call: Call
    ) -> order_pb2.ReceiveStripeEventResponse:
        event = self._parse_webhook(request.event.data, call.metadata.get("stripe-signature", ""))
        if isinstance(event, ConfirmationReport):
            self._wake_attempt.execute(event)
        elif event is not None:
            self._record_chargeback.execute(event)
        return order_pb2.ReceiveStripeEventResponse()
