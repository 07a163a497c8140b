"""Attempts in doubt end: a placing is voided and given up after an hour, a capture when the authorization lapses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from order_service.domain.attempt import State
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.gateway import Sandbox
from order_service.reconciliation import check
from servicekit.database import Database, Statement
from servicekit.errors import Unavailable
from tests.support.at_once import closing
from tests.support.order_rows import ledger, row_counts
from tests.support.orderservice import BUYER, SELLER, OrderBackend

NOTHING = {"orders": 0, "attempts": 0, "keys": 0, "outbox": 0}
HOUR = timedelta(hours=1, seconds=1)
LAPSED = timedelta(days=7, hours=1)
ATTEMPT = Statement("SELECT order_id FROM attempts")
AWAY = Sandbox(Database("postgresql://nobody@127.0.0.1:1/nothing"))


def attempt_id(world: OrderBackend) -> UUID:
    """Return the id of the one attempt."""
    (row,) = world.database.fetch_all(ATTEMPT)
    return UUID(str(row["order_id"]))


def in_doubt(world: OrderBackend, card: str = "", **options: Any) -> None:
    """Place an order whose provider is away from then on."""
    world.use_sandbox(AWAY)
    answer = world.place(payment_token=card, **options)
    assert (answer.http_status, answer.error) == (503, "OUTCOME_UNKNOWN")


def payments(world: OrderBackend) -> list[int]:
    return [int(payment.authorized + payment.captured) for payment in world.sandbox_payments()]


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"marketplace_payment_attempts_{name}_total", labels) or 0


@pytest.mark.parametrize("key", [None, "k"])
def test_a_placing_in_doubt_for_an_hour_is_given_up_and_its_key_is_free(world: OrderBackend, key: str | None) -> None:
    in_doubt(world, key=key)
    before = metric("given_up", state="asking")
    world.travel(HOUR)
    world.use_sandbox(world.sandbox)

    world.settle()

    assert row_counts(world) == NOTHING
    assert payments(world) == [0]
    assert metric("given_up", state="asking") == before + 1
    assert world.place(key=key).error == ""
    assert len(world.listed(BUYER)) == 1


def test_a_placing_in_doubt_is_finished_within_the_hour(world: OrderBackend) -> None:
    provider = world.sandbox
    in_doubt(world)
    world.travel(timedelta(minutes=59))
    world.use_sandbox(provider)

    world.settle()

    assert len(world.listed(BUYER)) == 1


def test_the_void_is_tried_until_the_provider_answers_and_the_attempt_is_giving_up_until_then(
    world: OrderBackend,
) -> None:
    provider = world.sandbox
    in_doubt(world, key="k")
    first = attempt_id(world)
    for _ in range(20):
        world.travel(timedelta(hours=6))
        world.worker.payment_recovery.recover_due()
        attempt = world.store.attempts.get(first)
        assert attempt is not None
        assert attempt.state is State.GIVING_UP
        assert world.place(key="k").error == "OUTCOME_UNKNOWN"

    world.use_sandbox(provider)
    world.settle_with_retries()

    assert row_counts(world) == NOTHING
    assert payments(world) == [0]
    assert check(world.database, world.worker.gateway).differences == []


def test_a_payment_that_was_authorized_in_doubt_is_voided_when_the_placing_is_given_up(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorize = world.sandbox.authorize

    def lose_the_answer(purchase: Any) -> Any:
        authorize(purchase)
        raise Unavailable

    monkeypatch.setattr(world.sandbox, "authorize", lose_the_answer)
    assert world.place(key="k").error == "OUTCOME_UNKNOWN"
    assert payments(world) == [500]
    world.travel(HOUR)

    world.settle()

    assert row_counts(world) == NOTHING
    assert payments(world) == [0]


def test_the_same_key_after_the_hour_gives_the_old_placing_up_and_places_anew(world: OrderBackend) -> None:
    provider = world.sandbox
    in_doubt(world, key="k")
    first = str(attempt_id(world))
    world.travel(HOUR)
    world.use_sandbox(provider)

    answer = world.place(key="k")

    assert answer.error == ""
    assert answer.response.order_id != first
    assert world.listed(BUYER) == [answer.response.order_id]
    assert sorted(payments(world)) == [0, 500]


@pytest.mark.parametrize("is_authorized_first", [True, False], ids=["authorized first", "voided first"])
def test_an_authorization_that_turns_up_for_a_given_up_placing_is_voided_and_never_placed(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch, is_authorized_first: bool
) -> None:
    authorize = world.sandbox.authorize
    operator = world.another_worker()

    def give_up() -> None:
        operator.store.attempts.give_up(attempt_id(operator))
        attempt = operator.store.attempts.get(attempt_id(operator))
        assert attempt is not None
        # The lock of the worker that authorizes is lost, as with its connection.
        operator.worker.give_up_placing.execute(attempt)

    def give_up_meanwhile(purchase: Any) -> Any:
        result = authorize(purchase) if is_authorized_first else None
        with ThreadPoolExecutor(1) as pool:
            pool.submit(closing(world.database, give_up)).result(30)
        return result or authorize(purchase)

    monkeypatch.setattr(world.sandbox, "authorize", give_up_meanwhile)

    answer = world.place(key="k")

    assert answer.error in ("OUTCOME_UNKNOWN", "PAYMENT_DECLINED")
    assert row_counts(world) == NOTHING
    assert payments(world) == [0]


def test_a_placing_that_is_dropped_while_its_card_is_asked_is_not_placed(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorize = world.sandbox.authorize
    operator = world.another_worker()

    def drop_meanwhile(purchase: Any) -> Any:
        result = authorize(purchase)
        with ThreadPoolExecutor(1) as pool:
            drop = closing(world.database, lambda: operator.store.attempts.give_up(purchase.order_id))
            assert pool.submit(drop).result(30)
        return result

    monkeypatch.setattr(world.sandbox, "authorize", drop_meanwhile)
    answer = world.place(key="k")
    assert (answer.error, payments(world), world.listed(BUYER)) == ("OUTCOME_UNKNOWN", [500], [])

    world.settle()

    assert row_counts(world) == NOTHING
    assert payments(world) == [0]


def captured_in_doubt(world: OrderBackend, monkeypatch: pytest.MonkeyPatch, *, is_captured: bool) -> str:
    """Return an order whose capture is in doubt, and whose authorization has lapsed since."""
    order = world.placed()
    capture = world.sandbox.capture

    def lose_the_answer(*arguments: Any) -> None:
        if is_captured:
            capture(*arguments)
        raise Unavailable

    monkeypatch.setattr(world.sandbox, "capture", lose_the_answer)
    assert world.act("accept", order, SELLER).error == "OUTCOME_UNKNOWN"
    world.travel(timedelta(days=6, hours=23))
    world.order_timeouts.move_due()
    world.settle()
    assert (world.status(order), world.actions(order, SELLER), world.actions(order, BUYER)) == ("PENDING", [], [])
    world.travel(LAPSED)
    return order


@pytest.mark.parametrize(("is_captured", "payment"), [(False, ("VOIDED", 0)), (True, ("REFUNDED", 500))])
def test_a_capture_in_doubt_ends_when_the_authorization_lapses_and_captured_money_goes_back(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch, is_captured: bool, payment: tuple[str, float]
) -> None:
    order = captured_in_doubt(world, monkeypatch, is_captured=is_captured)

    world.settle()

    assert (world.status(order), world.payment(order)) == ("CANCELLED", payment)
    assert world.history(order)[-1] == ("system", "capture_failed")
    assert row_counts(world)["attempts"] == row_counts(world)["outbox"] == 0
    assert ledger(world) == {}
    assert check(world.database, world.worker.gateway).differences == []


def test_the_sellers_accept_after_the_authorization_has_lapsed_is_declined(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = captured_in_doubt(world, monkeypatch, is_captured=False)

    assert world.act("accept", order, SELLER).error == "PAYMENT_DECLINED"
    assert world.status(order) == "CANCELLED"


def test_an_attempt_that_another_worker_holds_or_has_finished_is_not_counted(world: OrderBackend) -> None:
    world.place(key="k", payment_token=scenarios.TIMEOUT_AFTER)
    due = world.store.attempts.due(1)
    before = metric("finished", kind="authorize")
    another = world.another_worker()

    def recover() -> None:
        another.worker.payment_recovery.recover_due()

    with world.store.attempt_lock(due[0].order_id), ThreadPoolExecutor(1) as pool:
        pool.submit(closing(world.database, recover)).result(30)
    assert metric("finished", kind="authorize") == before
    world.travel(timedelta(seconds=2))
    world.worker.payment_recovery.recover_due()
    another.worker.payment_recovery.recover_due()

    assert metric("finished", kind="authorize") == before + 1
    assert len(world.listed(BUYER)) == 1


def test_an_attempt_that_is_held_does_not_keep_others_waiting(world: OrderBackend) -> None:
    world.place(key="held", payment_token=scenarios.TIMEOUT_AFTER)
    held = attempt_id(world)

    with world.store.attempt_lock(held), ThreadPoolExecutor(1) as pool:
        pool.submit(closing(world.database, world.another_worker().worker.payment_recovery.recover_due)).result(30)

        assert world.store.attempts.due(10) == []
