"""Orders of offers on the double of Stripe: one payment, which is authorized and then captured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from order_service.payments.gateway import Declined
from order_service.payments.providers import stripe_payments
from order_service.reconciliation import check
from servicekit.database import Database
from servicekit.errors import Unavailable
from tests.support import offers
from tests.support.at_once import closing
from tests.support.orderservice import BUYER, SELLER, OrderBackend
from tests.support.rpc import Answer
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


@contextmanager
def repeated_before(
    world: OrderBackend,
    double: StripeDouble,
    monkeypatch: pytest.MonkeyPatch,
    repeat: Callable[[OrderBackend], Answer],
    *,
    response: str,
) -> Iterator[list[Answer]]:
    """Repeat a placing while its attempt waits for the confirmation, which comes in the block.

    The provider's response to the repeat comes only when the payment is captured: it says that the payment is
    "captured", that it "waits" for the confirmation, or that it is "declined". The repeat's result is in the list, as
    soon as the capture returns.
    """
    other = world.another_worker()
    authorize, capture = other.worker.gateway.authorize, world.worker.gateway.capture
    is_asked, is_captured = threading.Event(), threading.Event()
    repeated: list[Future[Answer]] = []
    answers: list[Answer] = []

    def authorize_late(purchase: Any) -> Any:
        try:
            if response == "waits":
                authorize(purchase)
        finally:
            is_asked.set()
            is_captured.wait(30)
        if response == "declined":
            raise Declined
        return authorize(purchase)

    def capture_and_wait(*arguments: Any) -> Any:
        report = capture(*arguments)
        is_captured.set()
        answers.append(repeated[0].result(30))
        return report

    monkeypatch.setattr(other.worker.gateway, "authorize", authorize_late)
    monkeypatch.setattr(world.worker.gateway, "capture", capture_and_wait)
    [(reference, intent)] = double.intents.items()
    with ThreadPoolExecutor(1) as pool:
        # Payment recovery holds the lock, as it does while it works on the attempt.
        with world.store.attempt_lock(UUID(intent["metadata"]["order_id"])):
            repeated.append(pool.submit(closing(world.database, partial(repeat, other))))
            assert is_asked.wait(30)
        double.confirm(reference)
        world.clock.travel(timedelta(seconds=3))
        try:
            yield answers
        finally:
            is_captured.set()


@pytest.mark.parametrize(("response", "error"), [("captured", "OUTCOME_UNKNOWN"), ("declined", "PAYMENT_DECLINED")])
def test_a_repeat_whose_response_is_late_leaves_the_attempt_to_the_call_that_captures(
    world: OrderBackend, double: StripeDouble, monkeypatch: pytest.MonkeyPatch, response: str, error: str
) -> None:
    offer_id = offers.made(world)
    offers.order(world, offer_id, CONFIRM, key="k")

    def repeat(backend: OrderBackend) -> Answer:
        return offers.order(backend, offer_id, CONFIRM, key="k")

    with repeated_before(world, double, monkeypatch, repeat, response=response) as answers:
        world.worker.payment_recovery.recover_due()

    assert [answer.error for answer in answers] == [error]
    assert repeat(world).response.order_id == offers.get(world, offer_id).response.offer.order_id != ""
    assert (statuses(double), offers.attempts(world)) == (["succeeded"], [])
    assert differences(world) == []


def test_a_late_answer_that_the_card_waits_does_not_free_the_offer_that_is_captured(
    world: OrderBackend, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer_id = offers.made(world)
    offers.order(world, offer_id, CONFIRM, key="k")
    gateway = world.worker.gateway

    def repeat(backend: OrderBackend) -> Answer:
        return offers.order(backend, offer_id, CONFIRM, key="k")

    with repeated_before(world, double, monkeypatch, repeat, response="waits") as answers:
        capture = gateway.capture

        def lose_response(*arguments: Any) -> Any:
            capture(*arguments)
            raise Unavailable

        monkeypatch.setattr(gateway, "capture", lose_response)
        world.worker.payment_recovery.recover_due()

    assert [answer.error for answer in answers] == ["PAYMENT_ACTION_REQUIRED"]
    assert offers.attempts(world) == ["capture asking"]
    assert offers.withdraw(world, offer_id).error == "CONFLICT"


def test_a_repeat_that_sees_an_accepted_order_captured_leaves_the_acceptance_alone(
    world: OrderBackend, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.place(key="k", payment_token=CONFIRM)

    def repeat(backend: OrderBackend) -> Answer:
        return backend.place(key="k", payment_token=CONFIRM)

    with repeated_before(world, double, monkeypatch, repeat, response="captured") as answers:
        world.worker.payment_recovery.recover_due()
        [order] = world.listed(BUYER)
        accepted = world.act("accept", order, SELLER)

    assert [answer.response.order_id for answer in answers] == [order]
    assert (accepted.error, world.status(order)) == ("", "IN_PROGRESS")
    assert differences(world) == []
