"""Stored responses of idempotent calls without the texts of a user who is erased."""

from __future__ import annotations

from marketplace.conversation.v1 import conversation_pb2
from marketplace.order.v1 import order_pb2
from servicekit.personal_data import ERASED


def without_texts(scope: str, response: bytes, *, is_bought: bool | None) -> bytes:
    """Return the response to another caller without the texts of a user.

    `scope` is that of the idempotency key. `is_bought` says whether the user is the buyer of the order, whose
    requirements are theirs, or the seller, whose titles are theirs. In a conversation they are the other side, whose
    name is theirs.
    """
    match scope.partition("/")[0].rpartition(".")[2]:
        case "PlaceOrder":
            placed = order_pb2.PlaceOrderResponse.FromString(response)
            if not is_bought:
                placed.gig_title = placed.package = ERASED
            return placed.SerializeToString()
        case "RefundOrder":
            refunded = order_pb2.RefundOrderResponse.FromString(response)
            if is_bought:
                refunded.order.requirements = ""
            else:
                refunded.order.gig_title = refunded.order.package = ERASED
                for line in refunded.order.lines:
                    line.title = ERASED
            return refunded.SerializeToString()
        case "AdjustBalance":
            adjusted = order_pb2.AdjustBalanceResponse.FromString(response)
            adjusted.entry.message = ERASED
            return adjusted.SerializeToString()
        case "StartConversation":
            started = conversation_pb2.StartConversationResponse.FromString(response)
            # `with` is a keyword of Python.
            getattr(started.conversation, "with").username = ""
            return started.SerializeToString()
    return response
