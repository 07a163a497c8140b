"""Attempts: authorizations and captures whose outcome is unknown, repeated, concurrent or recovered."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest

from marketplace.order.v1 import order_pb2
from order_service.domain.attempt import Kind
from order_service.payments.gateway import AuthorizationResult, Purchase
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.gateway import Sandbox
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.at_once import closing
from tests.support.identity import user_id
from tests.support.order_rows import concurrently, ledger, row_counts
from tests.support.orderservice import BUYER, GIG, PACKAGE, SELLER, STRANGER, OrderBackend


def test_a_declined_card_stores_nothing_and_frees_the_idempotency_key(world: OrderBackend) -> None:
    answer = world.place(key="k", payment_token=scenarios.DECLINED)

    assert (answer.http_status, answer.error) == (402, "PAYMENT_DECLINED")
    assert row_counts(world) == {"orders": 0, "attempts": 0, "keys": 0, "outbox": 0}
    assert world.sandbox_payments() == []
    assert world.place(key="k").error == ""


@pytest.mark.parametrize("card", [scenarios.TIMEOUT_BEFORE, scenarios.TIMEOUT_AFTER])
def test_the_same_key_finishes_an_order_whose_authorization_had_an_unknown_outcome(
    world: OrderBackend, card: str
) -> None:
    first = world.place(key="k", payment_token=card)
    assert (first.http_status, first.error, first.headers["retry-after"]) == (503, "OUTCOME_UNKNOWN", "1")
    assert row_counts(world) == {"orders": 0, "attempts": 1, "keys": 1, "outbox": 0}

    second, third = world.place(key="k", payment_token=card), world.place(key="k", payment_token=card)

    assert second.response == third.response
    assert world.listed(BUYER) == [second.response.order_id]
    assert row_counts(world) == {"orders": 1, "attempts": 0, "keys": 1, "outbox": 0}
    (payment,) = world.sandbox_payments()
    assert (str(payment.order_id), payment.authorized) == (second.response.order_id, Decimal(500))


@pytest.mark.parametrize("card", [scenarios.TIMEOUT_BEFORE, scenarios.TIMEOUT_AFTER])
def test_payment_recovery_finishes_an_order_whose_authorization_had_an_unknown_outcome(
    world: OrderBackend, card: str
) -> None:
    world.place(key="k", payment_token=card)

    assert world.store.attempts.counts() == {Kind.AUTHORIZE: 1}
    world.settle()

    assert world.store.attempts.counts() == {}
    (order,) = world.listed(BUYER)
    assert (world.status(order), world.payment(order)) == ("PENDING", ("AUTHORIZED", 0))
    assert world.place(key="k", payment_token=card).response.order_id == order
    assert row_counts(world)["attempts"] == 0


def test_payment_recovery_finishes_an_order_that_was_begun_without_a_key(world: OrderBackend) -> None:
    assert world.place(payment_token=scenarios.TIMEOUT_AFTER).error == "OUTCOME_UNKNOWN"

    world.settle()

    (order,) = world.listed(BUYER)
    assert world.payment(order) == ("AUTHORIZED", 0)


def test_payment_recovery_leaves_an_attempt_to_its_worker_for_a_second(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    due: list[int] = []
    authorize = world.sandbox.authorize

    def authorize_late(purchase: Purchase) -> AuthorizationResult:
        due.append(len(world.store.attempts.due(10)))
        world.clock.travel(timedelta(seconds=1))
        due.append(len(world.store.attempts.due(10)))
        return authorize(purchase)

    monkeypatch.setattr(world.sandbox, "authorize", authorize_late)

    assert world.place().error == ""
    assert due == [0, 1]


def test_a_placing_holds_the_lock_of_its_attempt_until_it_is_over(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []
    authorize = world.sandbox.authorize

    def look(order_id: UUID) -> bool:
        with world.store.attempt_lock(order_id) as is_holder:
            return is_holder

    def is_free(order_id: UUID) -> bool:
        """Whether another worker could take the lock."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(closing(world.database, partial(look, order_id))).result(30)

    def authorize_and_look(purchase: Purchase) -> AuthorizationResult:
        held.append(not is_free(purchase.order_id))
        return authorize(purchase)

    monkeypatch.setattr(world.sandbox, "authorize", authorize_and_look)

    order = world.placed()

    assert held == [True]
    assert is_free(UUID(order))


def test_a_placing_that_is_given_up_while_the_provider_is_asked_stores_no_order_and_no_response(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorize = world.sandbox.authorize

    def authorize_too_late(purchase: Purchase) -> AuthorizationResult:
        world.store.attempts.give_up(purchase.order_id)
        return authorize(purchase)

    monkeypatch.setattr(world.sandbox, "authorize", authorize_too_late)

    answer = world.place(key="k")

    assert (answer.http_status, answer.error) == (503, "OUTCOME_UNKNOWN")
    assert row_counts(world) == {"orders": 0, "attempts": 1, "keys": 1, "outbox": 0}
    world.settle()
    assert row_counts(world) == {"orders": 0, "attempts": 0, "keys": 0, "outbox": 0}
    assert [payment.authorized for payment in world.sandbox_payments()] == [0]


@pytest.mark.parametrize(
    ("table", "left"), [("attempts", {"attempts": 0, "keys": 0}), ("orders", {"attempts": 1, "keys": 1})]
)
def test_a_connection_that_is_lost_in_a_placings_statement_is_in_doubt_and_the_same_key_goes_on(
    world: OrderBackend, table: str, left: dict[str, int]
) -> None:
    world.database.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
    )
    world.database.execute(f"CREATE TRIGGER die AFTER INSERT ON {table} EXECUTE FUNCTION die()")

    answer = world.place(key="k")
    world.database.execute("DROP FUNCTION die CASCADE")

    assert (answer.http_status, answer.error) == (503, "OUTCOME_UNKNOWN")
    assert row_counts(world) == {"orders": 0, "outbox": 0, **left}
    assert world.listed(BUYER) == []
    assert world.place(key="k").response.order_id in world.listed(BUYER)
    assert row_counts(world) == {"orders": 1, "attempts": 0, "keys": 1, "outbox": 0}
    assert [payment.authorized for payment in world.sandbox_payments()] == [500]


def test_the_same_key_sent_by_fifty_clients_at_once_is_one_order_and_one_payment(world: OrderBackend) -> None:
    workers = [world.another_worker() for _ in range(50)]
    calls = [partial(worker.place, key="k", payment_token=scenarios.SLOW) for worker in workers]

    answers = concurrently(world, calls)
    errors = {answer.error for answer in answers if answer.error}
    later_answers = [world.place(key="k", payment_token=scenarios.SLOW) for _ in range(3)]

    assert errors <= {"OUTCOME_UNKNOWN"}
    orders = {answer.response.order_id for answer in [*answers, *later_answers] if not answer.error}
    assert [*orders] == world.listed(BUYER)
    assert all(not answer.error for answer in later_answers)
    assert [payment.authorized for payment in world.sandbox_payments()] == [500]


def test_a_capture_that_is_refused_for_good_cancels_the_order(world: OrderBackend) -> None:
    order = world.placed(card=scenarios.CAPTURE_DECLINED)

    answer = world.act("accept", order, SELLER)
    world.settle()

    assert (answer.http_status, answer.error) == (402, "PAYMENT_DECLINED")
    assert (world.status(order), world.payment(order)) == ("CANCELLED", ("VOIDED", 0))
    assert world.history(order)[-1] == ("system", "capture_failed")
    assert world.sandbox_payment(order).authorized == 0
    assert ledger(world) == {}


def test_the_sellers_next_accept_finishes_a_capture_with_an_unknown_outcome(world: OrderBackend) -> None:
    order = world.placed(card=scenarios.CAPTURE_TIMEOUT)

    first = world.act("accept", order, SELLER, "On it")
    assert (first.http_status, first.error, first.headers["retry-after"]) == (503, "OUTCOME_UNKNOWN", "1")
    assert (world.status(order), world.payment(order)) == ("PENDING", ("AUTHORIZED", 0))
    assert world.actions(order, SELLER) == world.actions(order, BUYER) == []
    assert "it is just being accepted" in world.act("cancel", order, BUYER).body["error"]
    assert world.act("decline", order, SELLER).error == "INVALID_TRANSITION"
    assert world.act("accept", order, BUYER).error == "FORBIDDEN"
    second = world.act("accept", order, SELLER, "Again")

    assert second.error == ""
    assert world.history(order) == [("buyer", "place"), ("seller", "accept")]
    assert world.events(order, BUYER).response.events[-1].message == "On it"
    assert world.balance() == (450, 0, 0)


def test_payment_recovery_finishes_a_capture_with_an_unknown_outcome_however_late(world: OrderBackend) -> None:
    order = world.placed(card=scenarios.CAPTURE_TIMEOUT)
    world.act("accept", order, SELLER)
    world.clock.travel(timedelta(days=30))

    world.order_timeouts.move_due()
    world.settle()

    assert (world.status(order), world.payment(order)) == ("IN_PROGRESS", ("CAPTURED", 0))
    assert world.act("accept", order, SELLER).error == "INVALID_TRANSITION"


def test_during_the_capture_all_other_actions_are_refused_with_the_reason(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = world.placed()
    another_worker = world.another_worker()
    capturing, resume = threading.Event(), threading.Event()
    capture = world.sandbox.capture

    def capture_when_resumed(order_id: UUID, reference: str, amount: Decimal) -> None:
        capturing.set()
        assert resume.wait(30)
        capture(order_id, reference, amount)

    monkeypatch.setattr(world.sandbox, "capture", capture_when_resumed)

    with ThreadPoolExecutor(1) as pool:
        accepting = pool.submit(closing(world.database, partial(world.act, "accept", order, SELLER)))
        assert capturing.wait(30)
        open_actions = another_worker.actions(order, SELLER)
        refused = [
            another_worker.act("accept", order, SELLER),
            another_worker.act("decline", order, SELLER),
            another_worker.act("cancel", order, BUYER),
        ]
        resume.set()
        assert accepting.result(30).error == ""

    assert open_actions == []

    assert [answer.error for answer in refused] == ["INVALID_TRANSITION"] * 3
    assert all("there is nothing you can do now" in answer.body["error"] for answer in refused)
    assert world.history(order) == [("buyer", "place"), ("seller", "accept")]


def test_of_ten_concurrent_accepts_one_wins(world: OrderBackend) -> None:
    order = world.placed(card=scenarios.SLOW)
    workers = [world.another_worker() for _ in range(10)]

    answers = concurrently(world, [partial(worker.act, "accept", order, SELLER) for worker in workers])

    assert sorted(answer.error for answer in answers) == ["", *["INVALID_TRANSITION"] * 9]
    assert world.balance() == (450, 0, 0)


def test_a_call_without_time_for_the_payment_provider_begins_no_attempt(world: OrderBackend) -> None:
    order = world.placed()
    accept = order_pb2.AcceptOrderRequest(order_id=order)
    place = order_pb2.PlaceOrderRequest(package_id=PACKAGE, payment_method="stripe")

    accepting = world.rpc.call("AcceptOrder", accept, SELLER, 0.25)
    placing = world.rpc.call("PlaceOrder", place, BUYER, 0.25, idempotency_key="k")

    assert [accepting.error, placing.error] == ["DEADLINE_EXCEEDED"] * 2
    assert row_counts(world) == {"orders": 1, "attempts": 0, "keys": 0, "outbox": 0}
    assert world.payment(order) == ("AUTHORIZED", 0)


def test_only_the_holder_of_the_attempts_lock_begins_a_capture(world: OrderBackend) -> None:
    order = world.placed()

    with world.store.attempt_lock(UUID(order)) as is_holder:
        # Another worker holds the lock and has not locked the order yet.
        (answer,) = concurrently(world, [partial(world.act, "accept", order, SELLER)])
        world.database.execute("UPDATE orders SET payment_status = 'CAPTURING'")
        (late,) = concurrently(world, [partial(world.act, "accept", order, SELLER)])
        world.database.execute("UPDATE orders SET payment_status = 'AUTHORIZED'")

    assert is_holder
    assert answer.error == "UNAVAILABLE"
    assert (late.error, "it is just being accepted" in late.message) == ("INVALID_TRANSITION", True)
    assert (row_counts(world)["attempts"], world.payment(order)) == (0, ("AUTHORIZED", 0))
    assert world.act("accept", order, SELLER).error == ""
    assert world.balance() == (450, 0, 0)


def test_a_lock_that_payment_recovery_holds_for_a_moment_does_not_refuse_an_accept(world: OrderBackend) -> None:
    order = world.placed()

    with ThreadPoolExecutor(1) as pool:
        with world.store.attempt_lock(UUID(order)) as is_holder:
            accepting = pool.submit(closing(world.database, partial(world.act, "accept", order, SELLER)))
            assert not accepting.done()
            time.sleep(0.3)
        answer = accepting.result(30)

    assert is_holder
    assert (answer.error, world.status(order)) == ("", "IN_PROGRESS")


@pytest.mark.parametrize(("who", "error"), [(STRANGER, "NOT_FOUND"), (BUYER, "FORBIDDEN")])
def test_a_caller_who_may_not_accept_is_refused_before_the_lock_is_taken(
    world: OrderBackend, who: str, error: str
) -> None:
    order = world.placed()

    with world.store.attempt_lock(UUID(order)):
        (answer,) = concurrently(world, [partial(world.act, "accept", order, who)])

    assert answer.error == error


def test_an_attempt_of_a_worker_of_the_first_version_is_recovered(world: OrderBackend) -> None:
    """Its draft is stored with the names that the first version gave its parts."""
    order_id = new_id()
    draft = {
        "order_id": str(order_id),
        "offer": {
            "package_id": PACKAGE,
            "package_title": "Basic Website",
            "gig_id": GIG,
            "gig_title": "Professional Website Development",
            "seller_id": str(user_id("webdev_pro")),
            "price": "500.00",
            "delivery_days": 14,
            "revisions": 1,
        },
        "wish": {
            "buyer_id": str(user_id("happy_buyer")),
            "requirements": "Need dark theme",
            "payment_method": "stripe",
            "payment_token": "",
        },
        "currency": "USD",
        "commission_percent": "10",
    }
    world.database.execute(
        "INSERT INTO attempts (order_id, kind, data, created_at, next_try_at)"
        " SELECT %s, 'authorize', %s::jsonb, now, now FROM app_now() AS now",
        (order_id, json.dumps(draft)),
    )

    world.settle()

    assert world.listed(BUYER) == [str(order_id)]
    assert row_counts(world)["attempts"] == 0


def test_an_unreachable_provider_is_503_and_all_work_is_finished_when_it_is_back(
    order_database: Database, sandbox_database: Database, world: OrderBackend
) -> None:
    cancelled, accepted = world.accepted(), world.placed()
    provider = world.sandbox
    unreachable = Sandbox(Database("postgresql://nobody@127.0.0.1:1/nothing"))
    world.use_sandbox(unreachable)

    placing = world.place(key="k")
    accepting = world.act("accept", accepted, SELLER)
    cancelling = world.act("cancel", cancelled, SELLER)
    assert [(each.http_status, each.headers["retry-after"]) for each in (placing, accepting)] == [(503, "1")] * 2
    assert cancelling.error == ""
    world.use_sandbox(provider)
    world.settle_with_retries()

    assert (world.status(accepted), world.payment(accepted)) == ("IN_PROGRESS", ("CAPTURED", 0))
    assert world.payment(cancelled) == ("REFUNDED", 500)
    assert world.place(key="k").response.order_id in world.listed(BUYER)
    assert row_counts(world) == {"orders": 3, "attempts": 0, "keys": 1, "outbox": 0}


def test_a_price_below_the_providers_minimum_is_refused_before_an_attempt_begins(world: OrderBackend) -> None:
    world.offer_package(price=0.49)

    answer = world.place(key=str(new_id()))

    assert (answer.http_status, [each["field"] for each in answer.body["details"]]) == (400, ["packageId"])
    assert row_counts(world)["attempts"] == row_counts(world)["keys"] == 0
