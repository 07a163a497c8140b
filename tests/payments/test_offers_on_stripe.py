"""Orders of offers on the double of Stripe: one payment, which is authorized and then captured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from order_service.payments.providers import stripe_payments
from order_service.reconciliation import check
from servicekit.database import Database
from tests.support import offers
from tests.support.orderservice import BUYER, OrderBackend
from tests.support.standins import GigStandIn, serving
from tests.support.stripe_double import StripeDouble

CARD = "pm_card_visa"
CONFIRM = "pm_card_authenticationRequired"


@pytest.fixture
def world(order_database: Database, sandbox_database: Database, double: StripeDouble) -> Iterator[OrderBackend]:
    gigs = GigStandIn()
    with serving(gigs) as address:
        payments = stripe_payments("sk_test_1", "whsec_1", "USD", double.url)
        yield OrderBackend(order_database, sandbox_database, gigs, address, payments)


def differences(world: OrderBackend) -> list[str]:
    world.settle_with_retries()
    return check(world.database, world.worker.gateway).differences


def statuses(double: StripeDouble) -> list[str]:
    return [intent["status"] for intent in double.intents.values()]


def test_an_offer_is_paid_by_one_payment(world: OrderBackend, double: StripeDouble) -> None:
    order = offers.ordered(world, card=CARD)

    [intent] = double.intents.values()
    assert (intent["status"], intent["amount"], intent["metadata"]["order_id"]) == ("succeeded", 70000, order)
    assert (world.status(order), world.payment(order)) == ("IN_PROGRESS", ("CAPTURED", 0.0))
    assert differences(world) == []


@pytest.mark.parametrize(
    ("card", "left"), [("pm_card_chargeDeclined", []), ("pm_card_expires", ["canceled"])]
)  # fmt: skip
def test_a_refusal_at_either_step_leaves_the_offer_open(
    world: OrderBackend, double: StripeDouble, card: str, left: list[str]
) -> None:
    offer_id = offers.made(world)

    refused = offers.order(world, offer_id, card, key="k")

    assert (refused.http_status, refused.error) == (402, "PAYMENT_DECLINED")
    assert [status for status in statuses(double) if status != "requires_payment_method"] == left
    assert (offers.status(world, offer_id), offers.attempts(world)) == ("OPEN", [])
    assert offers.order(world, offer_id, CARD, key="k").error == ""
    assert differences(world) == []


# A capture that was made is seen at once, by the payment's status.
@pytest.mark.parametrize(
    ("path", "after"), [("payment_intents$", False), ("payment_intents$", True), ("capture$", False)]
)
def test_a_step_in_doubt_is_finished_by_itself_with_the_same_payment(
    world: OrderBackend, double: StripeDouble, path: str, after: bool
) -> None:
    offer_id = offers.made(world)
    double.fail(path, 500, method="POST", after=after)

    doubtful = offers.order(world, offer_id, CARD, key="k")

    assert doubtful.error == "OUTCOME_UNKNOWN"
    assert offers.withdraw(world, offer_id).error == "CONFLICT"
    world.settle_with_retries()
    assert statuses(double) == ["succeeded"]
    [order] = world.listed(BUYER)
    assert offers.get(world, offer_id).response.offer.order_id == order
    assert offers.order(world, offer_id, CARD, key="k").response.order_id == order
    assert differences(world) == []


def test_a_confirmed_payment_is_captured(world: OrderBackend, double: StripeDouble) -> None:
    offer_id = offers.made(world)
    first = offers.order(world, offer_id, CONFIRM, key="k")
    [reference] = double.intents
    double.confirm(reference)

    placed = offers.order(world, offer_id, CONFIRM, key="k")

    assert (first.error, placed.error) == ("PAYMENT_ACTION_REQUIRED", "")
    assert statuses(double) == ["succeeded"]
    assert differences(world) == []


def test_an_offer_that_is_withdrawn_meanwhile_cancels_the_payment(world: OrderBackend, double: StripeDouble) -> None:
    offer_id = offers.made(world)
    offers.order(world, offer_id, CONFIRM, key="k")

    assert offers.withdraw(world, offer_id).error == ""
    world.settle_with_retries()

    assert statuses(double) == ["canceled"]
    assert offers.order(world, offer_id, CONFIRM, key="k").error == "OFFER_CLOSED"
    assert differences(world) == []
