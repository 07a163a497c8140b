"""Calls about a seller's money: those of the seller, and those of an admin."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from marketplace.order.v1 import order_pb2
from tests.support.identity import user_id
from tests.support.orderservice import ADMIN, BUYER, SELLER, OrderBackend
from tests.support.rpc import Answer

SELLER_ID = str(user_id("webdev_pro"))


def completed(world: OrderBackend, price: float = 500, card: str = "") -> str:
    """Complete an order of this price and return its id."""
    world.offer_package(price=price)
    order = world.accepted(card)
    world.act("deliver", order, SELLER)
    world.act("complete", order, BUYER)
    return order


def pay_out(world: OrderBackend, amount: float | None = None, sent_token: str = SELLER, **metadata: Any) -> Answer:
    return world.rpc.call("RequestPayout", order_pb2.RequestPayoutRequest(amount=amount), sent_token, **metadata)


def send(world: OrderBackend, payout_id: str) -> None:
    """Deliver a payout to the provider, as the outbox does; raises the delivery's errors."""
    world.worker.send_payout.execute(UUID(payout_id))


def shown_payout(world: OrderBackend, payout_id: str, sent_token: str = SELLER) -> tuple[str, str]:
    """Return the payout's status and the reason why it failed or waits."""
    request = order_pb2.GetPayoutRequest(payout_id=payout_id)
    payout = world.rpc.call("GetPayout", request, sent_token).response.payout
    assert payout.HasField("failure_reason") == bool(payout.failure_reason)
    return order_pb2.Payout.Status.Name(payout.status), payout.failure_reason


def set_account(world: OrderBackend, destination: str) -> Answer:
    return world.rpc.call("SetPayoutAccount", order_pb2.SetPayoutAccountRequest(destination=destination), SELLER)


def hold(world: OrderBackend, reason: str = "A look", seller: str = SELLER_ID, sent_token: str = ADMIN) -> Answer:
    request = order_pb2.SetPayoutHoldRequest(seller_id=seller, reason=reason)
    return world.rpc.call("SetPayoutHold", request, sent_token)


def get_hold(world: OrderBackend, seller: str = SELLER_ID, sent_token: str = ADMIN) -> Answer:
    return world.rpc.call("GetPayoutHold", order_pb2.GetPayoutHoldRequest(seller_id=seller), sent_token)


def release(world: OrderBackend, seller: str = SELLER_ID, sent_token: str = ADMIN) -> Answer:
    return world.rpc.call("ReleasePayoutHold", order_pb2.ReleasePayoutHoldRequest(seller_id=seller), sent_token)


def adjust(
    world: OrderBackend,
    amount: float,
    message: str = "We owe you this",
    seller: str = SELLER_ID,
    sent_token: str = ADMIN,
    **metadata: Any,
) -> Answer:
    request = order_pb2.AdjustBalanceRequest(seller_id=seller, amount=amount, message=message)
    return world.rpc.call("AdjustBalance", request, sent_token, **metadata)


def entry_amounts(world: OrderBackend) -> list[tuple[str, float]]:
    """Return the kinds and amounts of the seller's entries, newest first."""
    entries = world.rpc.call("ListBalanceEntries", order_pb2.ListBalanceEntriesRequest(), SELLER).response.results
    return [(order_pb2.BalanceEntry.Kind.Name(entry.kind), entry.amount) for entry in entries]
