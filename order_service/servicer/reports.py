"""The RPC by which a payment provider reports."""

from collections.abc import Callable

from marketplace.order.v1 import order_pb2
from order_service.notices import Notices
from order_service.payments.gateway import Notice
from servicekit.call import Call

# Reads an event by its bytes and its signature; None when it is of no interest. Raises InvalidArgument.
Reader = Callable[[bytes, str], Notice | None]


class ReportHandlers:
    """What Stripe says by itself."""

    def __init__(self, notices: Notices, reader: Reader) -> None:
        self._notices = notices
        self._reader = reader

    def ReceiveStripeEvent(
        self, request: order_pb2.ReceiveStripeEventRequest, call: Call
    ) -> order_pb2.ReceiveStripeEventResponse:
        notice = self._reader(request.event.data, call.metadata.get("stripe-signature", ""))
        if notice is not None:
            self._notices.take(notice)
        return order_pb2.ReceiveStripeEventResponse()
