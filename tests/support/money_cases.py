"""`python -m tests.support.money_cases ORDERS SANDBOX`: a marketplace with every case that moves money.

All of it can be run again from the beginning, as by clients that do not know how far they got: the idempotency keys
stay the same.
"""

from __future__ import annotations

import sys

from marketplace.order.v1 import order_pb2
from order_service.payments.sandbox import scenarios
from servicekit.database import Database
from tests.support.orders import TIMEOUTS
from tests.support.orderservice import BUYER, SELLER, World
from tests.support.standins import GigStandIn, serving

# Each order's status and payment in the end, by its idempotency key.
ENDS = {
    "completed": ("COMPLETED", ("CAPTURED", 0.0)),
    "declined": ("CANCELLED", ("VOIDED", 0.0)),
    "refused": ("CANCELLED", ("VOIDED", 0.0)),
    "cancelled": ("CANCELLED", ("REFUNDED", 500.0)),
    "charged back": ("DISPUTED", ("CAPTURED", 0.0)),
    "expired": ("CANCELLED", ("VOIDED", 0.0)),
}
CARDS = {"refused": scenarios.CAPTURE_DECLINED, "charged back": scenarios.CHARGEBACK}
ACTIONS = {
    "completed": (("accept", SELLER), ("deliver", SELLER), ("complete", BUYER)),
    "declined": (("decline", SELLER),),
    "refused": (("accept", SELLER),),
    "cancelled": (("accept", SELLER), ("cancel", SELLER)),
    "charged back": (("accept", SELLER),),
    "expired": (),
}


def run_all(world: World) -> dict[str, str]:
    """Run all cases. Return the orders' ids by their idempotency keys."""
    world.place(key="no card", payment_token=scenarios.DECLINED)
    orders = {}
    for key, actions in ACTIONS.items():
        orders[key] = world.place(key=key, payment_token=CARDS.get(key, "")).response.order_id
        for action, who in actions:
            world.act(action, orders[key], who)
        world.settle()
    world.rpc.call("SetPayoutAccount", order_pb2.SetPayoutAccountRequest(destination="acct_1"), SELLER)
    world.rpc.call("RequestPayout", order_pb2.RequestPayoutRequest(amount=100), SELLER, idempotency_key="payout")
    world.clock.travel(TIMEOUTS.answer)
    world.timekeeper.move_due()
    world.settle()
    return orders


def main(orders: str, sandbox: str) -> None:
    gigs = GigStandIn()
    with serving(gigs) as address:
        run_all(World(Database(orders), Database(sandbox), gigs, address))


if __name__ == "__main__":
    main(*sys.argv[1:])
