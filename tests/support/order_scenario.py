"""Orders with every operation that moves money, and what leads to them, in a process that is killed at a crash point.

The scenario can be run again from the beginning, with the same idempotency keys, as a client does who has lost the
responses.
"""

from __future__ import annotations

import multiprocessing
from datetime import timedelta
from unittest import mock

from order_service.commands import create_webhook_endpoint
from order_service.payments.sandbox import scenarios
from order_service.webhooks.resolver import Resolver
from order_service.webhooks.sender import Sender
from servicekit import crash
from servicekit.database import Database
from tests.support import offers, talks, webhooks
from tests.support.orders import TIMEOUTS
from tests.support.orderservice import ADMIN, BUYER, SELLER, OrderBackend
from tests.support.sellers import adjust, hold, pay_out, release, set_account
from tests.support.standins import GigStandIn, serving

# The final status and payment of each order, by its idempotency key.
EXPECTED = {
    "completed": ("COMPLETED", ("CAPTURED", 0.0)),
    "declined": ("CANCELLED", ("VOIDED", 0.0)),
    "refused": ("CANCELLED", ("VOIDED", 0.0)),
    "cancelled": ("CANCELLED", ("REFUNDED", 500.0)),
    "charged back": ("DISPUTED", ("CAPTURED", 0.0)),
    "expired": ("CANCELLED", ("VOIDED", 0.0)),
    "refunded later": ("CANCELLED", ("REFUNDED", 500.0)),
    "refund refused": ("COMPLETED", ("CAPTURED", 0.0)),
    "confirmed": ("CANCELLED", ("VOIDED", 0.0)),
    "of an offer": ("IN_PROGRESS", ("CAPTURED", 0.0)),
}
CARDS = {
    "refused": scenarios.CAPTURE_DECLINED,
    "charged back": scenarios.CHARGEBACK,
    "refunded later": scenarios.REFUND_WAITS,
    "refund refused": scenarios.REFUND_REFUSED,
    "confirmed": scenarios.CONFIRM,
}
CONFIRMED = timedelta(seconds=3)
WEBHOOK_SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
ACTIONS = {
    "completed": (("accept", SELLER), ("deliver", SELLER), ("complete", BUYER)),
    "declined": (("decline", SELLER),),
    "refused": (("accept", SELLER),),
    "cancelled": (("accept", SELLER), ("cancel", SELLER)),
    "charged back": (("accept", SELLER),),
    "expired": (),
    "refunded later": (("accept", SELLER), ("cancel", SELLER)),
    "refund refused": (("accept", SELLER), ("deliver", SELLER), ("complete", BUYER)),
    "confirmed": (),
}


def run_scenario(world: OrderBackend, webhook: str) -> dict[str, str]:
    """Run the scenario. Return the ids of its orders by their idempotency keys."""
    if not webhooks.listed(world, SELLER):
        # The receiver is in another process than the one that is killed, and has to know the secret.
        with mock.patch.object(create_webhook_endpoint, "new_secret", lambda: WEBHOOK_SECRET):
            webhooks.create(world, webhook, SELLER)
    (endpoint,) = webhooks.listed(world, SELLER)
    world.place(key="no card", payment_token=scenarios.DECLINED)
    world.place(payment_token=scenarios.CONFIRM_NEVER)
    orders = {}
    for key, actions in ACTIONS.items():
        answer = world.place(key=key, payment_token=CARDS.get(key, ""))
        if answer.error == "PAYMENT_ACTION_REQUIRED":
            world.travel(CONFIRMED)
            answer = world.place(key=key, payment_token=CARDS[key])
        orders[key] = answer.response.order_id
        for action, sent_token in actions:
            world.act(action, orders[key], sent_token)
        world.settle()
    orders["of an offer"] = talk_and_offer(world)
    webhooks.retry(world, endpoint, webhooks.deliveries(world, endpoint, SELLER)[0].id, SELLER)
    world.refund(orders["refund refused"], 100, key="refund")
    world.settle()
    for amount in (25, -25):
        adjust(world, amount, idempotency_key=f"adjustment {amount}")
    set_account(world, scenarios.PAYOUT_WAITS)
    pay_out(world, 100, idempotency_key="payout")
    world.settle()
    hold(world)
    release(world)
    world.clock.travel(TIMEOUTS.answer)
    world.sandbox_clock.travel(TIMEOUTS.answer)
    world.order_timeouts.move_due()
    world.worker.offer_expiry.expire_due()
    world.settle()
    return orders


def talk_and_offer(world: OrderBackend) -> str:
    """Let the buyer and the seller write to each other, and offer. Return the id of the order of an offer."""
    talks.offer_gig(world)
    talk: str = talks.start(world, key="conversation").response.conversation.id
    message: str = talks.send(world, talk, key="message").response.message.id
    talks.mark(world, talk, message)
    talks.block(world)
    talks.unblock(world)
    talks.remove(world, message, ADMIN)
    made = {
        key: offers.make(world, talk, key=f"offer {key}", expires_in_hours=24).response.offer.id
        for key in ("ordered", "withdrawn", "declined", "expired")
    }
    offers.withdraw(world, made["withdrawn"])
    offers.decline(world, made["declined"])
    offers.order(world, made["ordered"], scenarios.CAPTURE_DECLINED, key="refused capture")
    order_id: str = offers.order(world, made["ordered"], key="of an offer").response.order_id
    world.settle()
    return order_id


# A process of it begins with all modules imported, which takes a second otherwise.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])


def killed_at(point: str, orders: str, sandbox: str, webhook: str) -> int | None:
    """Run the scenario in a process that dies at a crash point. Return its exit status; None when it takes too long.

    The arguments are the URLs of two databases, and of a receiver of the seller's webhooks.
    """
    process = _forks.Process(target=_run_until, args=(point, orders, sandbox, webhook))
    process.start()
    try:
        process.join(60)
        return process.exitcode
    finally:
        process.kill()
        process.join()


def _run_until(point: str, orders: str, sandbox: str, webhook: str) -> None:
    gigs, sender = GigStandIn(), Sender(Resolver(), allow_private=True)
    with mock.patch.object(crash, "_CRASH_AT", point), serving(gigs) as address:
        run_scenario(OrderBackend(Database(orders), Database(sandbox), gigs, address, sender=sender), webhook)
