"""What passing time does to orders, with a real database whose clock is moved."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from order_service.domain.lifecycle import Action, Command, move
from order_service.domain.order import Change, Order, Party, Status
from order_service.domain.settlement import begin_capture
from order_service.store import Store
from order_service.timekeeper import Timekeeper
from servicekit.clock import Clock
from servicekit.database import Database, Statement
from servicekit.errors import Conflict
from tests.support.orders import TIMEOUTS, a_placing

TOLD = Statement("SELECT order_id, action, by FROM order_events WHERE by = 'system'")


@pytest.fixture
def store(order_database: Database) -> Store:
    return Store(order_database)


@pytest.fixture
def keeper(store: Store, order_database: Database) -> Timekeeper:
    return Timekeeper(store, TIMEOUTS)


@pytest.fixture
def clock(order_database: Database) -> Clock:
    return Clock(order_database)


def placed(store: Store) -> Order:
    return store.orders.place(a_placing)


def act(store: Store, order: Order, action: Action, party: Party) -> Order:
    def decide(found: Order, now: datetime) -> Change:
        return move(found, Command(action, "so"), frozenset({party}), now=now, timeouts=TIMEOUTS)

    return store.orders.change(order.id, decide)


def status(store: Store, order: Order) -> Status:
    return store.orders.get(order.id).order.status


def test_orders_walk_through_two_weeks_without_waiting(store: Store, keeper: Timekeeper, clock: Clock) -> None:
    unanswered, late, approved = placed(store), placed(store), placed(store)
    for order in (late, approved):
        act(store, order, Action.ACCEPT, Party.SELLER)
    act(store, approved, Action.DELIVER, Party.SELLER)

    clock.travel(timedelta(hours=47, minutes=59))
    assert keeper.move_due() == 0
    clock.travel(timedelta(minutes=1))
    assert keeper.move_due() == 1
    assert status(store, unanswered) is Status.CANCELLED
    clock.travel(timedelta(hours=24))
    assert keeper.move_due() == 1
    assert status(store, approved) is Status.COMPLETED
    with pytest.raises(Conflict):
        act(store, late, Action.CANCEL, Party.BUYER)
    clock.travel(timedelta(days=11))
    assert keeper.move_due() == 0
    act(store, late, Action.CANCEL, Party.BUYER)

    assert status(store, late) is Status.CANCELLED


def test_the_last_delivery_counts(store: Store, keeper: Timekeeper, clock: Clock) -> None:
    order = placed(store)
    act(store, order, Action.ACCEPT, Party.SELLER)
    act(store, order, Action.DELIVER, Party.SELLER)
    clock.travel(timedelta(hours=71))
    act(store, order, Action.REVISE, Party.BUYER)
    act(store, order, Action.DELIVER, Party.SELLER)

    clock.travel(timedelta(hours=71))
    assert keeper.move_due() == 0
    clock.travel(timedelta(hours=1))
    assert keeper.move_due() == 1
    assert status(store, order) is Status.COMPLETED


def test_ten_workers_at_once_move_each_of_three_hundred_orders_once(
    store: Store, order_database: Database, clock: Clock
) -> None:
    orders = [placed(store) for _ in range(300)]
    clock.travel(TIMEOUTS.answer)

    def work() -> int:
        moved = Timekeeper(store, TIMEOUTS).move_due()
        order_database.close()
        return moved

    with ThreadPoolExecutor(10) as pool:
        moved = [pool.submit(work) for _ in range(10)]
        total = sum(each.result(30) for each in moved)
    # What a worker had locked when the others looked is left to that one, so that together they have all.
    total += Timekeeper(store, TIMEOUTS).move_due()

    told = order_database.fetch_all(TOLD)
    assert total == 300
    assert sorted(row["order_id"] for row in told) == sorted(order.id for order in orders)
    assert {(row["action"], row["by"]) for row in told} == {("expire", "system")}


def test_an_order_that_somebody_holds_is_left_for_the_next_round(
    store: Store, keeper: Timekeeper, clock: Clock, order_database: Database
) -> None:
    order = placed(store)
    clock.travel(TIMEOUTS.answer)

    def meanwhile() -> int:
        moved = keeper.move_due()
        order_database.close()
        return moved

    with ThreadPoolExecutor(1) as pool, order_database.transaction():
        order_database.fetch_all(Statement("SELECT id FROM orders WHERE id = $1 FOR UPDATE"), order.id)
        assert pool.submit(meanwhile).result(5) == 0

    assert keeper.move_due() == 1


def test_no_hold_on_a_card_is_left_to_lapse(store: Store, keeper: Timekeeper, clock: Clock) -> None:
    def briefly(now: datetime) -> Change:
        placing = a_placing(now)
        return replace(placing, order=replace(placing.order, capture_before=now + timedelta(hours=5)))

    order, other = store.orders.place(briefly), placed(store)
    clock.travel(timedelta(hours=3, minutes=59))
    assert keeper.move_due() == 0
    clock.travel(timedelta(minutes=1))

    with pytest.raises(Conflict):
        act(store, order, Action.ACCEPT, Party.SELLER)
    assert keeper.move_due() == 1

    assert (status(store, order), status(store, other)) == (Status.CANCELLED, Status.PENDING)


def test_what_is_being_accepted_when_its_time_comes_is_left_to_the_payment_provider(
    store: Store, keeper: Timekeeper, clock: Clock
) -> None:
    order = placed(store)
    store.orders.change(order.id, lambda found, now: Change(begin_capture(found)))
    clock.travel(timedelta(days=30))

    assert keeper.move_due() == 0
    assert status(store, order) is Status.PENDING
