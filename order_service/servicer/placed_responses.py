"""The response of PlaceOrder, stored for the idempotency key that began the order."""

from order_service.convert.orders import to_placed
from order_service.domain.order import Order
from servicekit.idempotency import IdempotencyKeys


class PlacedResponses:
    """Stores the response in the transaction of the placing, so that a repeated call gets it whatever happens later."""

    def __init__(self, idempotency_keys: IdempotencyKeys) -> None:
        self._idempotency_keys = idempotency_keys

    def store(self, order: Order) -> None:
        """Store the response for the key that began the order, if there is one."""
        self._idempotency_keys.finish(order.id, to_placed(order))
