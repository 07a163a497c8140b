"""The RPCs about orders. The pipeline around them is servicekit.pipeline."""

from datetime import datetime
from uuid import UUID

from marketplace.order.v1 import order_pb2
from order_service.commands.accept_order import AcceptOrder
from order_service.commands.change_order import ChangeOrder
from order_service.commands.deliver_order import DeliverOrder
from order_service.commands.place_order import PlaceOrder
from order_service.commands.refund_order import RefundOrder
from order_service.convert import orders as convert
from order_service.domain.lifecycle import Action, Command, Timeouts
from order_service.domain.listing import order_filter
from order_service.domain.order import Order
from order_service.store.order_lists import PageKey
from order_service.store.store import Store
from servicekit import paging
from servicekit.call import Call
from servicekit.idempotency import binds_idempotency_key
from servicekit.money import to_decimal
from servicekit.outside import calls_outside

# The requests of all actions of ChangeOrder but `extend` and `resolve`, which have more fields.
ActionRequest = (
    order_pb2.DeclineOrderRequest
    | order_pb2.CancelOrderRequest
    | order_pb2.AcceptExtensionRequest
    | order_pb2.DeclineExtensionRequest
    | order_pb2.ReviseOrderRequest
    | order_pb2.CompleteOrderRequest
    | order_pb2.DisputeOrderRequest
)


class OrderHandlers:
    """Orders, their lists and histories, and the actions on them."""

    def __init__(
        self,
        store: Store,
        timeouts: Timeouts,
        place_order: PlaceOrder,
        accept_order: AcceptOrder,
        change_order: ChangeOrder,
        deliver_order: DeliverOrder,
        refund_order: RefundOrder,
    ) -> None:
        self._store = store
        self._timeouts = timeouts
        self._place_order = place_order
        self._accept_order = accept_order
        self._change_order = change_order
        self._deliver_order = deliver_order
        self._refund_order = refund_order

    @calls_outside
    @binds_idempotency_key
    def PlaceOrder(self, request: order_pb2.PlaceOrderRequest, call: Call) -> order_pb2.PlaceOrderResponse:
        order_request = convert.from_placing(request, call.user_id)
        expected_price = to_decimal(request.expected_price) if request.HasField("expected_price") else None
        return convert.to_placed(
            self._place_order.execute(
                *convert.from_source(request), order_request, expected_price, call.idempotency_claim
            )
        )

    def GetOrder(self, request: order_pb2.GetOrderRequest, call: Call) -> order_pb2.GetOrderResponse:
        order, now = self._store.orders.get(UUID(request.order_id))
        return order_pb2.GetOrderResponse(order=self._to_order(order, now, call))

    def ListOrderEvents(
        self, request: order_pb2.ListOrderEventsRequest, call: Call
    ) -> order_pb2.ListOrderEventsResponse:
        order = self._store.orders.get(UUID(request.order_id)).order
        order.parties(call.caller)
        return order_pb2.ListOrderEventsResponse(events=map(convert.to_event, self._store.orders.history(order.id)))

    def ListOrders(self, request: order_pb2.ListOrdersRequest, call: Call) -> order_pb2.ListOrdersResponse:
        conditions = order_filter(
            request.role, convert.to_status(request.status), convert.to_admin_filters(request), call.caller
        )
        key = paging.decode(request, paging.timestamp, paging.uuid)
        size = paging.page_size(request.page_size)
        readings = self._store.order_lists.page(
            conditions, oldest_first=request.sort == "oldest", after=PageKey(*key) if key else None, limit=size + 1
        )
        response = order_pb2.ListOrdersResponse(
            results=[self._to_order(order, now, call) for order, now in readings[:size]]
        )
        if len(readings) > size:
            last = readings[size - 1].order
            response.next_page_token = paging.encode(request, PageKey(last.created_at, last.id))
        return response

    @calls_outside
    def AcceptOrder(self, request: order_pb2.AcceptOrderRequest, call: Call) -> order_pb2.AcceptOrderResponse:
        order = self._accept_order.execute(UUID(request.order_id), request.message, call.caller)
        return order_pb2.AcceptOrderResponse(order=self._to_order(order, order.updated_at, call))

    def DeclineOrder(self, request: order_pb2.DeclineOrderRequest, call: Call) -> order_pb2.DeclineOrderResponse:
        return order_pb2.DeclineOrderResponse(order=self._change(Action.DECLINE, request, call))

    def CancelOrder(self, request: order_pb2.CancelOrderRequest, call: Call) -> order_pb2.CancelOrderResponse:
        return order_pb2.CancelOrderResponse(order=self._change(Action.CANCEL, request, call))

    def DeliverOrder(self, request: order_pb2.DeliverOrderRequest, call: Call) -> order_pb2.DeliverOrderResponse:
        file_ids = [UUID(each) for each in request.file_ids]
        order = self._deliver_order.execute(UUID(request.order_id), request.message, file_ids, call.caller)
        return order_pb2.DeliverOrderResponse(order=self._to_order(order, order.updated_at, call))

    def ExtendOrder(self, request: order_pb2.ExtendOrderRequest, call: Call) -> order_pb2.ExtendOrderResponse:
        order = self._change_order.execute(UUID(request.order_id), convert.from_extension(request), call.caller)
        return order_pb2.ExtendOrderResponse(order=self._to_order(order, order.updated_at, call))

    def AcceptExtension(
        self, request: order_pb2.AcceptExtensionRequest, call: Call
    ) -> order_pb2.AcceptExtensionResponse:
        return order_pb2.AcceptExtensionResponse(order=self._change(Action.ACCEPT_EXTENSION, request, call))

    def DeclineExtension(
        self, request: order_pb2.DeclineExtensionRequest, call: Call
    ) -> order_pb2.DeclineExtensionResponse:
        return order_pb2.DeclineExtensionResponse(order=self._change(Action.DECLINE_EXTENSION, request, call))

    def ReviseOrder(self, request: order_pb2.ReviseOrderRequest, call: Call) -> order_pb2.ReviseOrderResponse:
        return order_pb2.ReviseOrderResponse(order=self._change(Action.REVISE, request, call))

    def CompleteOrder(self, request: order_pb2.CompleteOrderRequest, call: Call) -> order_pb2.CompleteOrderResponse:
        return order_pb2.CompleteOrderResponse(order=self._change(Action.COMPLETE, request, call))

    def DisputeOrder(self, request: order_pb2.DisputeOrderRequest, call: Call) -> order_pb2.DisputeOrderResponse:
        return order_pb2.DisputeOrderResponse(order=self._change(Action.DISPUTE, request, call))

    def ResolveOrder(self, request: order_pb2.ResolveOrderRequest, call: Call) -> order_pb2.ResolveOrderResponse:
        order = self._change_order.execute(UUID(request.order_id), convert.from_resolution(request), call.caller)
        return order_pb2.ResolveOrderResponse(order=self._to_order(order, order.updated_at, call))

    def RefundOrder(self, request: order_pb2.RefundOrderRequest, call: Call) -> order_pb2.RefundOrderResponse:
        order = self._refund_order.execute(UUID(request.order_id), convert.from_refund(request), call.caller)
        return order_pb2.RefundOrderResponse(order=self._to_order(order, order.updated_at, call))

    def DescribeOrder(self, request: order_pb2.DescribeOrderRequest, call: Call) -> order_pb2.DescribeOrderResponse:
        return convert.to_description(self._store.orders.get(UUID(request.order_id)).order)

    def _change(self, action: Action, request: ActionRequest, call: Call) -> order_pb2.Order:
        order = self._change_order.execute(UUID(request.order_id), Command(action, request.message), call.caller)
        return self._to_order(order, order.updated_at, call)

    def _to_order(self, order: Order, now: datetime, call: Call) -> order_pb2.Order:
        """Return the order with the caller's actions of this moment."""
        return convert.to_order_of(order, call.caller, now, self._timeouts)
