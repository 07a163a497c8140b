"""Orders of offers: their payment is authorized and captured before the call returns, and an offer is ordered once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from marketplace.gig.v1 import gig_pb2
from order_service.payments.gateway import PaymentReport
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.gateway import Sandbox
from order_service.reconciliation import check
from servicekit.database import Database
from servicekit.errors import Unavailable
from tests.support import offers, talks
from tests.support.at_once import closing
from tests.support.identity import token, user_id
from tests.support.order_rows import row_counts
from tests.support.orderservice import BUYER, GIG, PACKAGE, SELLER, STRANGER, OrderBackend

CONFIRMED = timedelta(seconds=3)
AN_HOUR = timedelta(hours=1, seconds=1)
A_WEEK = timedelta(hours=168)
AWAY = Sandbox(Database("postgresql://nobody@127.0.0.1:1/nothing"))


def differences(world: OrderBackend) -> list[str]:
    """Return what reconciliation finds, once the background work is done."""
    world.settle_with_retries()
    return check(world.database, world.sandbox).differences


def authorized(world: OrderBackend) -> list[int]:
    """Return what is authorized and not captured, of every payment."""
    return [int(payment.authorized) for payment in world.sandbox_payments()]


def test_an_order_of_an_offer_begins_in_progress_with_its_payment_captured(world: OrderBackend) -> None:
    offer_id = offers.made(world)

    placed = offers.order(world, offer_id).response

    assert (placed.package, placed.price, placed.gig_title) == (
        "A shop in two languages", 700, "Professional Website Development"
    )  # fmt: skip
    order = world.get(placed.order_id, BUYER).response.order
    assert (order.offer_id, order.HasField("package_id"), order.revisions_left) == (offer_id, False, 3)
    assert [(line.title, line.amount, line.quantity) for line in order.lines] == [("A shop in two languages", 700, 1)]
    assert (world.status(placed.order_id), world.payment(placed.order_id)) == ("IN_PROGRESS", ("CAPTURED", 0.0))
    assert order.due_date.seconds - order.created_at.seconds == timedelta(days=10).total_seconds()
    [event] = world.events(placed.order_id, BUYER).response.events
    assert (event.by, event.action, event.HasField("from"), event.to) == ("buyer", "place", False, order.IN_PROGRESS)
    assert world.balance() == (630, 0, 0)
    assert "deliver" in world.actions(placed.order_id, SELLER)
    offer = offers.get(world, offer_id).response.offer
    assert (offers.status(world, offer_id), offer.order_id) == ("ACCEPTED", placed.order_id)
    assert offers.closings(world) == ["ACCEPTED"]
    assert differences(world) == []


def test_the_same_key_gets_the_same_order(world: OrderBackend) -> None:
    offer_id = offers.made(world)

    first, second = (offers.order(world, offer_id, key="k") for _ in range(2))

    assert first.response == second.response
    assert offers.order(world, offer_id, key="other").error == "OFFER_CLOSED"
    assert len(world.listed(BUYER)) == 1


def test_the_order_goes_on_as_any_other(world: OrderBackend) -> None:
    completed, cancelled = offers.ordered(world), offers.ordered(world)

    world.act("deliver", completed, SELLER)
    world.act("complete", completed, BUYER)
    world.act("cancel", cancelled, SELLER)
    world.settle()

    assert (world.status(completed), world.payment(completed)) == ("COMPLETED", ("CAPTURED", 0.0))
    assert (world.status(cancelled), world.payment(cancelled)) == ("CANCELLED", ("REFUNDED", 700.0))
    assert world.balance() == (0, 630, 0)
    assert differences(world) == []


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"package_id": PACKAGE}, ["packageId"]),
        ({"quantity": 1}, ["quantity"]),
        ({"extra_ids": [PACKAGE]}, ["extraIds"]),
    ],
)
def test_what_goes_with_a_package_alone_is_refused_by_its_field(
    world: OrderBackend, changes: dict[str, Any], fields: list[str]
) -> None:
    offer_id = offers.made(world)

    answer = offers.order(world, offer_id, **changes)

    assert answer.error == "INVALID_ARGUMENT"
    assert [each["field"] for each in answer.body["details"]] == fields
    assert offers.status(world, offer_id) == "OPEN"


def test_an_order_is_of_a_package_or_of_an_offer(world: OrderBackend) -> None:
    answer = world.place(package_id="")

    assert answer.error == "INVALID_ARGUMENT"
    assert [each["field"] for each in answer.body["details"]] == ["packageId"]


def test_only_its_buyer_can_order_an_offer(world: OrderBackend) -> None:
    offer_id = offers.made(world)
    seller_who_buys = token("webdev_pro", "seller", "buyer")

    assert offers.order(world, offer_id, sent_token=seller_who_buys).error == "FORBIDDEN"
    assert offers.order(world, offer_id, sent_token=STRANGER).error == "NOT_FOUND"
    assert offers.order(world, PACKAGE).error == "NOT_FOUND"
    assert authorized(world) == []


def test_an_offer_stands_though_its_gig_is_paused_and_not_when_it_is_suspended_or_deleted(world: OrderBackend) -> None:
    conversation_id = talks.started(world)
    one, other = (offers.made(world, conversation_id) for _ in range(2))
    talks.offer_gig(world, status=gig_pb2.Gig.SUSPENDED)
    suspended = offers.order(world, one)
    del world.gigs.gigs[GIG]
    deleted = offers.order(world, one)
    talks.offer_gig(world, status=gig_pb2.Gig.PAUSED)

    assert (suspended.error, deleted.error) == ("NOT_FOUND", "NOT_FOUND")
    assert offers.order(world, one).error == ""
    assert offers.status(world, other) == "OPEN"


def test_a_block_comes_before_the_card(world: OrderBackend) -> None:
    offer_id = offers.made(world)
    talks.block(world)
    by_seller = offers.order(world, offer_id)
    talks.unblock(world)
    talks.block(world, "webdev_pro", BUYER)
    by_buyer = offers.order(world, offer_id)

    assert (by_seller.error, by_buyer.error) == ("FORBIDDEN", "CONFLICT")
    assert authorized(world) == []


def test_the_expected_price_is_held_against_the_offers(world: OrderBackend) -> None:
    offer_id = offers.made(world)

    refused = offers.order(world, offer_id, expected_price=500)

    assert (refused.error, refused.body["price"]) == ("PRICE_CHANGED", 700)
    assert offers.order(world, offer_id, expected_price=700).error == ""


@pytest.mark.parametrize("card", [scenarios.DECLINED, scenarios.CAPTURE_DECLINED])
def test_a_refused_payment_places_nothing_and_leaves_the_offer_open(world: OrderBackend, card: str) -> None:
    offer_id = offers.made(world)

    refused = offers.order(world, offer_id, card, key="k")

    assert (refused.http_status, refused.error) == (402, "PAYMENT_DECLINED")
    assert row_counts(world)["orders"] == row_counts(world)["attempts"] == 0
    assert sum(authorized(world)) == 0
    assert offers.status(world, offer_id) == "OPEN"
    assert offers.order(world, offer_id, key="k").error == ""
    assert differences(world) == []


@pytest.mark.parametrize("card", [scenarios.TIMEOUT_BEFORE, scenarios.TIMEOUT_AFTER, scenarios.CAPTURE_TIMEOUT])
def test_while_a_payment_is_in_doubt_only_its_key_gets_on(world: OrderBackend, card: str) -> None:
    offer_id = offers.made(world)

    doubtful = offers.order(world, offer_id, card, key="k")

    assert (doubtful.http_status, doubtful.error) == (503, "OUTCOME_UNKNOWN")
    assert offers.withdraw(world, offer_id).error == "CONFLICT"
    assert offers.decline(world, offer_id).error == "CONFLICT"
    assert offers.order(world, offer_id).error == "CONFLICT"
    assert offers.status(world, offer_id) == "OPEN"
    placed = offers.order(world, offer_id, card, key="k")
    assert placed.error == ""
    assert offers.withdraw(world, offer_id).error == "OFFER_CLOSED"
    assert world.payment(placed.response.order_id) == ("CAPTURED", 0.0)
    assert differences(world) == []


@pytest.mark.parametrize("card", [scenarios.TIMEOUT_BEFORE, scenarios.TIMEOUT_AFTER, scenarios.CAPTURE_TIMEOUT])
def test_payment_recovery_finishes_a_payment_in_doubt(world: OrderBackend, card: str) -> None:
    offer_id = offers.made(world)
    offers.order(world, offer_id, card, key="k")

    world.settle()

    [order_id] = world.listed(BUYER)
    assert (world.status(order_id), world.payment(order_id)) == ("IN_PROGRESS", ("CAPTURED", 0.0))
    assert offers.get(world, offer_id).response.offer.order_id == order_id
    assert offers.order(world, offer_id, card, key="k").response.order_id == order_id
    assert differences(world) == []


def test_a_payment_in_doubt_for_an_hour_is_voided_and_the_offer_is_open_again(world: OrderBackend) -> None:
    offer_id = offers.made(world)
    world.use_sandbox(AWAY)
    offers.order(world, offer_id, key="k")
    world.travel(AN_HOUR)
    world.worker.payment_recovery.recover_due()
    assert offers.attempts(world) == ["authorize giving_up"]
    world.use_sandbox(world.sandbox)

    world.settle_with_retries()

    assert row_counts(world)["attempts"] == 0
    assert offers.order(world, offer_id, key="k").error == ""
    assert differences(world) == []


class DeafAfterCapture:
    """The sandbox, whose answers to captures are lost."""

    def __init__(self, sandbox: Sandbox, is_captured: bool) -> None:
        self._sandbox = sandbox
        self._is_captured = is_captured

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sandbox, name)

    def capture(self, *arguments: Any) -> PaymentReport:
        if self._is_captured:
            self._sandbox.capture(*arguments)
        raise Unavailable


@pytest.mark.parametrize(
    ("is_captured", "ending"), [(True, ("ACCEPTED", 1, 700, 0)), (False, ("OPEN", 0, 0, 0))]
)  # fmt: skip
def test_a_capture_in_doubt_for_an_hour_is_voided_unless_it_was_made(
    world: OrderBackend, is_captured: bool, ending: tuple[str, int, int, int]
) -> None:
    offer_id = offers.made(world)
    deaf: Any = DeafAfterCapture(world.sandbox, is_captured)
    world.use_sandbox(deaf)
    assert offers.order(world, offer_id, key="k").error == "OUTCOME_UNKNOWN"
    world.settle_with_retries()
    assert offers.attempts(world) == ["capture asking"]

    world.travel(AN_HOUR)
    world.settle_with_retries()

    [payment] = world.sandbox_payments()
    counts = (row_counts(world)["orders"], int(payment.captured), int(payment.authorized))
    assert (offers.status(world, offer_id), *counts) == ending
    assert offers.attempts(world) == []
    world.use_sandbox(world.sandbox)
    assert differences(world) == []


def test_a_confirmed_card_is_captured_and_places_the_order(world: OrderBackend) -> None:
    offer_id = offers.made(world)
    first = offers.order(world, offer_id, scenarios.CONFIRM, key="k")
    second = offers.order(world, offer_id, scenarios.CONFIRM, key="k")
    world.travel(CONFIRMED)

    placed = offers.order(world, offer_id, scenarios.CONFIRM, key="k")

    assert (first.error, second.error, placed.error) == ("PAYMENT_ACTION_REQUIRED", "PAYMENT_ACTION_REQUIRED", "")
    assert first.body["confirmation"] == second.body["confirmation"]
    assert world.payment(placed.response.order_id) == ("CAPTURED", 0.0)
    assert differences(world) == []


def test_a_confirmation_that_is_learnt_of_places_the_order_by_itself(world: OrderBackend) -> None:
    offer_id = offers.made(world)
    offers.order(world, offer_id, scenarios.CONFIRM, key="k")
    world.travel(CONFIRMED)

    world.settle()

    assert offers.status(world, offer_id) == "ACCEPTED"
    assert offers.order(world, offer_id, scenarios.CONFIRM, key="k").response.order_id == world.listed(BUYER)[0]
    assert differences(world) == []


def test_a_card_without_a_key_that_wants_a_confirmation_leaves_the_offer_open(world: OrderBackend) -> None:
    offer_id = offers.made(world)

    assert offers.order(world, offer_id, scenarios.CONFIRM).error == "PAYMENT_ACTION_REQUIRED"
    assert offers.attempts(world) == []
    assert offers.order(world, offer_id).error == ""


@pytest.mark.parametrize("close", [offers.withdraw, offers.decline])
def test_closing_the_offer_wins_over_a_confirmation_and_the_card_is_voided(
    world: OrderBackend, close: Callable[[OrderBackend, str], Any]
) -> None:
    offer_id = offers.made(world)
    offers.order(world, offer_id, scenarios.CONFIRM_NEVER, key="k")
    [attempt] = world.store.attempts.listed(1)[0]

    closed = close(world, offer_id)
    world.sandbox.confirm(attempt.attempt.order_id)
    world.settle()

    assert closed.error == ""
    assert row_counts(world)["orders"] == 0
    assert authorized(world) == [0]
    assert offers.order(world, offer_id, scenarios.CONFIRM_NEVER, key="k").error == "OFFER_CLOSED"
    assert differences(world) == []


def test_another_card_wins_over_one_that_waits_for_its_confirmation(world: OrderBackend) -> None:
    offer_id = offers.made(world)
    offers.order(world, offer_id, scenarios.CONFIRM, key="waits")

    placed = offers.order(world, offer_id, key="other")
    world.travel(CONFIRMED)
    world.settle()

    assert placed.error == ""
    assert world.listed(BUYER) == [placed.response.order_id]
    assert authorized(world) == [0, 0]
    assert offers.order(world, offer_id, scenarios.CONFIRM, key="waits").error == "OFFER_CLOSED"
    assert differences(world) == []


def test_a_confirmation_begun_before_the_end_of_the_offer_counts(world: OrderBackend) -> None:
    offer_id = offers.made(world, expires_in_hours=1)
    world.travel(timedelta(minutes=59))
    offers.order(world, offer_id, scenarios.CONFIRM_NEVER, key="k")
    [attempt] = world.store.attempts.listed(1)[0]
    world.travel(timedelta(minutes=2))
    assert (offers.status(world, offer_id), world.worker.offer_expiry.expire_due()) == ("EXPIRED", 0)
    assert offers.order(world, offer_id, key="other").error == "OFFER_CLOSED"

    world.sandbox.confirm(attempt.attempt.order_id)
    placed = offers.order(world, offer_id, scenarios.CONFIRM_NEVER, key="k")

    assert placed.error == ""
    assert offers.status(world, offer_id) == "ACCEPTED"
    assert world.worker.offer_expiry.expire_due() == 0
    assert offers.closings(world) == ["ACCEPTED"]


def test_an_offer_in_doubt_expires_once_that_is_over(world: OrderBackend) -> None:
    offer_id = offers.made(world, expires_in_hours=1)
    world.use_sandbox(AWAY)
    offers.order(world, offer_id, key="k")
    world.travel(AN_HOUR)
    assert world.worker.offer_expiry.expire_due() == 0
    assert offers.withdraw(world, offer_id).error == "CONFLICT"
    world.use_sandbox(world.sandbox)

    world.settle_with_retries()
    # It is given up, since an hour is over as well.
    assert world.worker.offer_expiry.expire_due() == 1

    assert (offers.status(world, offer_id), offers.closings(world)) == ("EXPIRED", ["EXPIRED"])


class Paused:
    """The sandbox, which holds calls of one kind until the test goes on."""

    def __init__(self, sandbox: Sandbox, call: str) -> None:
        self._sandbox = sandbox
        self._call = call
        self.is_reached, self.may_go_on = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._sandbox, name)
        return partial(self._wait, call) if name == self._call else call

    def _wait(self, call: Callable[..., Any], *arguments: Any) -> Any:
        self.is_reached.set()
        assert self.may_go_on.wait(20)
        return call(*arguments)


def during(world: OrderBackend, offer_id: str, call: str, act: Callable[[OrderBackend], Any]) -> tuple[Any, Any]:
    """Order the offer, and act with another worker while the provider is being asked. Return both answers."""
    paused: Any = Paused(world.sandbox, call)
    world.use_sandbox(paused)
    with ThreadPoolExecutor(1) as pool:
        ordering = pool.submit(closing(world.database, partial(offers.order, world, offer_id, key="k")))
        assert paused.is_reached.wait(20)
        acted = act(world.another_worker())
        paused.may_go_on.set()
        return ordering.result(), acted


def test_a_withdrawal_during_the_authorization_wins_and_the_card_is_voided(world: OrderBackend) -> None:
    offer_id = offers.made(world)

    ordered, withdrawn = during(world, offer_id, "authorize", lambda other: offers.withdraw(other, offer_id))

    assert (ordered.error, withdrawn.error) == ("OFFER_CLOSED", "")
    assert (offers.status(world, offer_id), offers.attempts(world)) == ("WITHDRAWN", [])
    assert authorized(world) == [0]
    assert differences(world) == []


def test_a_withdrawal_during_the_capture_is_too_late(world: OrderBackend) -> None:
    offer_id = offers.made(world)

    ordered, withdrawn = during(world, offer_id, "capture", lambda other: offers.withdraw(other, offer_id))

    assert (ordered.error, withdrawn.error) == ("", "CONFLICT")
    assert offers.status(world, offer_id) == "ACCEPTED"
    assert differences(world) == []


@pytest.mark.parametrize("call", ["authorize", "capture"])
def test_two_keys_at_the_same_moment_order_an_offer_once(world: OrderBackend, call: str) -> None:
    offer_id = offers.made(world)

    one, other = during(world, offer_id, call, lambda worker: offers.order(worker, offer_id, key="other"))

    assert (one.error, other.error) == ("", "CONFLICT")
    assert len(world.sandbox_payments()) == 1
    assert differences(world) == []


def test_ten_at_once_order_an_offer_once(world: OrderBackend) -> None:
    offer_id = offers.made(world)
    with ThreadPoolExecutor(10) as pool:
        ordering = [
            pool.submit(
                closing(world.database, partial(offers.order, world.another_worker(), offer_id, key=str(number)))
            )
            for number in range(10)
        ]
        errors = [each.result().error for each in ordering]

    assert errors.count("") == 1
    assert set(errors) <= {"", "CONFLICT", "OFFER_CLOSED"}
    assert len(world.listed(BUYER)) == 1
    assert differences(world) == []


def test_a_chargeback_that_comes_before_the_order_is_stored_comes_again(world: OrderBackend) -> None:
    offer_id = offers.made(world)

    ordered, _ = during(world, offer_id, "capture", lambda _: None)
    assert ordered.error == ""
    other = offers.made(world, offers.get(world, offer_id).response.offer.conversation_id)
    deaf: Any = DeafAfterCapture(world.sandbox, is_captured=True)
    world.use_sandbox(deaf)
    offers.order(world, other, scenarios.CHARGEBACK, key="chargeback")
    world.worker.provider_events.record_pending()
    world.use_sandbox(world.sandbox)
    world.settle_with_retries()

    [order_id] = set(world.listed(BUYER)) - {ordered.response.order_id}
    assert world.status(order_id) == "DISPUTED"
    assert world.history(order_id) == [("buyer", "place"), ("system", "chargeback")]
    assert differences(world) == []


def test_a_crash_leaves_an_attempt_in_doubt_that_recovery_finishes(world: OrderBackend) -> None:
    offer_id = offers.made(world)
    offer = world.store.offers.get(UUID(offer_id)).offer
    assert offer.buyer_id == user_id("happy_buyer")
    offers.order(world, offer_id, scenarios.TIMEOUT_BEFORE)
    assert offers.attempts(world) == ["authorize asking"]

    world.settle()

    assert offers.status(world, offer_id) == "ACCEPTED"
