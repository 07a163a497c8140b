"""OrderService's RPCs that ReviewService calls."""

from uuid import UUID

from marketplace.order.v1 import order_pb2
from marketplace.order.v1.order_pb2_grpc import OrderServiceStub
from review_service.domain.review import Order
from servicekit.clients import Client, Stub
from servicekit.identity import ServiceTokens
from servicekit.internal_tls import InternalTls


class Orders:
    """A client of OrderService."""

    def __init__(self, addresses: str, tokens: ServiceTokens, tls: InternalTls | None = None) -> None:
        self._client = Client(tokens)
        self._stub = Stub(OrderServiceStub, addresses, "order", tls)

    def describe(self, order_id: UUID) -> Order:
        """Return the order. Raises NotFound("Order")."""
        request = order_pb2.DescribeOrderRequest(order_id=str(order_id))
        response = self._client.call(self._stub().DescribeOrder, request)
        return Order(
            id=UUID(response.order_id),
            gig_id=UUID(response.gig_id),
            buyer_id=UUID(response.buyer_id),
            seller_id=UUID(response.seller_id),
            status=order_pb2.Order.Status.Name(response.status),
        )
