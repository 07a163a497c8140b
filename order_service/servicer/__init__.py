"""OrderService's RPCs, those about orders and those about money."""

from order_service.servicer.orders import OrderHandlers


class OrderServicer(OrderHandlers):
    """Answers the RPCs of `marketplace.order.v1.OrderService`."""
