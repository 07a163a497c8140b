"""The RPCs about orders. What surrounds each of them is in servicekit.pipeline."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from marketplace.order.v1 import order_pb2
from order_service.cashier import Cashier
from order_service.convert import orders as convert
from order_service.domain.lifecycle import Action, Command, Timeouts, move, open_actions
from order_service.domain.listing import scope_of
from order_service.domain.order import Order, OrderPolicy, OrderRequest, Party, draft
from order_service.domain.payment import Provider, check_method, check_token
from order_service.gigs import Gigs
from order_service.store import Store
from order_service.store.orders import START, PageKey
from servicekit import paging
from servicekit.call import Call
from servicekit.idempotency import binds_idempotency_key
from servicekit.ids import new_id

# The requests of all actions but `resolve`, which takes more.
ActionRequest = (
    order_pb2.AcceptOrderRequest
    | order_pb2.DeclineOrderRequest
    | order_pb2.CancelOrderRequest
    | order_pb2.DeliverOrderRequest
    | order_pb2.ReviseOrderRequest
    | order_pb2.CompleteOrderRequest
    | order_pb2.DisputeOrderRequest
)


@dataclass(frozen=True)
class PaymentPolicy:
    """How the deployment takes payments: by whom, whether cards are real, and at which terms."""

    provider: Provider
    needs_token: bool
    policy: OrderPolicy


class OrderHandlers:
    """What people do with orders."""

    def __init__(self, store: Store, gigs: Gigs, cashier: Cashier, policy: PaymentPolicy, timeouts: Timeouts) -> None:
        self._store = store
        self._gigs = gigs
        self._cashier = cashier
        self._policy = policy
        self._timeouts = timeouts

    @binds_idempotency_key
    def PlaceOrder(self, request: order_pb2.PlaceOrderRequest, call: Call) -> order_pb2.PlaceOrderResponse:
        if call.idempotency_claim is not None and call.idempotency_claim.attempt_id is not None:
            return convert.to_placed(self._cashier.go_on_placing(call.idempotency_claim.attempt_id))
        check_method(request.payment_method, self._policy.provider)
        check_token(request.payment_token, is_needed=self._policy.needs_token)
        terms = self._gigs.offer(UUID(request.package_id))
        order_request = OrderRequest(call.user_id, request.requirements, request.payment_method, request.payment_token)
        order = self._cashier.place(draft(new_id(), terms, order_request, self._policy.policy), call.idempotency_claim)
        return convert.to_placed(order)

    def GetOrder(self, request: order_pb2.GetOrderRequest, call: Call) -> order_pb2.GetOrderResponse:
        reading = self._store.orders.get(UUID(request.order_id))
        return order_pb2.GetOrderResponse(order=self._seen(*reading, call))

    def ListOrderEvents(
        self, request: order_pb2.ListOrderEventsRequest, call: Call
    ) -> order_pb2.ListOrderEventsResponse:
        order = self._store.orders.get(UUID(request.order_id)).order
        _parties(order, call)
        return order_pb2.ListOrderEventsResponse(events=map(convert.to_event, self._store.orders.history(order.id)))

    def ListOrders(self, request: order_pb2.ListOrdersRequest, call: Call) -> order_pb2.ListOrdersResponse:
        scope = scope_of(request.role, is_admin=call.caller.is_admin)
        key = paging.decode(request, datetime.fromisoformat, UUID)
        size = paging.page_size(request.page_size)
        statuses = convert.to_statuses(request.status)
        after = PageKey(*key) if key else START
        found = self._store.orders.page(scope, call.user_id, statuses=statuses, after=after, limit=size + 1)
        response = order_pb2.ListOrdersResponse(results=[self._seen(*reading, call) for reading in found[:size]])
        if len(found) > size:
            last = found[size - 1].order
            response.next_page_token = paging.encode(request, PageKey(last.created_at, last.id))
        return response

    def AcceptOrder(self, request: order_pb2.AcceptOrderRequest, call: Call) -> order_pb2.AcceptOrderResponse:
        order = self._cashier.accept(UUID(request.order_id), lambda order: _parties(order, call), request.message)
        return order_pb2.AcceptOrderResponse(order=self._seen(order, order.updated_at, call))

    def DeclineOrder(self, request: order_pb2.DeclineOrderRequest, call: Call) -> order_pb2.DeclineOrderResponse:
        return order_pb2.DeclineOrderResponse(order=self._move(Action.DECLINE, request, call))

    def CancelOrder(self, request: order_pb2.CancelOrderRequest, call: Call) -> order_pb2.CancelOrderResponse:
        return order_pb2.CancelOrderResponse(order=self._move(Action.CANCEL, request, call))

    def DeliverOrder(self, request: order_pb2.DeliverOrderRequest, call: Call) -> order_pb2.DeliverOrderResponse:
        return order_pb2.DeliverOrderResponse(order=self._move(Action.DELIVER, request, call))

    def ReviseOrder(self, request: order_pb2.ReviseOrderRequest, call: Call) -> order_pb2.ReviseOrderResponse:
        return order_pb2.ReviseOrderResponse(order=self._move(Action.REVISE, request, call))

    def CompleteOrder(self, request: order_pb2.CompleteOrderRequest, call: Call) -> order_pb2.CompleteOrderResponse:
        return order_pb2.CompleteOrderResponse(order=self._move(Action.COMPLETE, request, call))

    def DisputeOrder(self, request: order_pb2.DisputeOrderRequest, call: Call) -> order_pb2.DisputeOrderResponse:
        return order_pb2.DisputeOrderResponse(order=self._move(Action.DISPUTE, request, call))

    def ResolveOrder(self, request: order_pb2.ResolveOrderRequest, call: Call) -> order_pb2.ResolveOrderResponse:
        command = convert.to_resolution(request)
        return order_pb2.ResolveOrderResponse(order=self._do(command, UUID(request.order_id), call))

    def DescribeOrder(self, request: order_pb2.DescribeOrderRequest, call: Call) -> order_pb2.DescribeOrderResponse:
        return convert.to_description(self._store.orders.get(UUID(request.order_id)).order)

    def _move(self, action: Action, request: ActionRequest, call: Call) -> order_pb2.Order:
        return self._do(Command(action, request.message), UUID(request.order_id), call)

    def _do(self, command: Command, order_id: UUID, call: Call) -> order_pb2.Order:
        """Every action that asks nobody else is this: lock, decide by the table, store with all that goes with it."""
        order = self._store.orders.change(
            order_id, lambda order, now: move(order, command, _parties(order, call), now=now, timeouts=self._timeouts)
        )
        return self._seen(order, order.updated_at, call)

    def _seen(self, order: Order, now: datetime, call: Call) -> order_pb2.Order:
        """The order as this caller sees it at this moment."""
        return convert.to_order(order, open_actions(order, _parties(order, call), now, self._timeouts))


def _parties(order: Order, call: Call) -> frozenset[Party]:
    return order.parties(call.user_id, is_admin=call.caller.is_admin)
