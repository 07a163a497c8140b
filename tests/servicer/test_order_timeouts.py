"""Order timeouts, with a real database whose clock is moved."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from order_service.commands.time_out_order import TimeOutOrder
from order_service.domain.lifecycle import Action, Command, move
from order_service.domain.order import Change, Order, Party, Status
from order_service.domain.settlement import begin_capture
from order_service.store.put_off_orders import FIRST_DELAY
from order_service.store.store import Store
from order_service.workers.order_timeouts import OrderTimeouts
from servicekit.clock import Clock
from servicekit.database import Database, Statement
from servicekit.errors import Conflict
from tests.support.orders import TIMEOUTS, a_placing, store_change, store_placing

SYSTEM_EVENTS = Statement("SELECT order_id, action, by FROM order_events WHERE by = 'system'")


@pytest.fixture
def store(order_database: Database) -> Store:
    return Store(order_database)


@pytest.fixture
def order_timeouts(store: Store) -> OrderTimeouts:
    return a_worker(store)


@pytest.fixture
def clock(order_database: Database) -> Clock:
    return Clock(order_database)


def a_worker(store: Store) -> OrderTimeouts:
    return OrderTimeouts(store, TimeOutOrder(store, TIMEOUTS), TIMEOUTS)


def placed(store: Store) -> Order:
    return store_placing(store)


def act(store: Store, order: Order, action: Action, party: Party) -> Order:
    def decide(locked: Order, now: datetime) -> Change:
        return move(locked, Command(action, "so"), frozenset({party}), now=now, timeouts=TIMEOUTS)

    return store_change(store, order.id, decide)


def delivered(store: Store) -> Order:
    order = placed(store)
    act(store, order, Action.ACCEPT, Party.SELLER)
    return act(store, order, Action.DELIVER, Party.SELLER)


def sample(name: str) -> float:
    """Return the value of a metric of this process."""
    return REGISTRY.get_sample_value(name) or 0


def status(store: Store, order: Order) -> Status:
    return store.orders.get(order.id).order.status


def test_orders_pass_two_weeks_of_timeouts_on_a_moved_clock(
    store: Store, order_timeouts: OrderTimeouts, clock: Clock
) -> None:
    unanswered, late, approved = placed(store), placed(store), placed(store)
    for order in (late, approved):
        act(store, order, Action.ACCEPT, Party.SELLER)
    act(store, approved, Action.DELIVER, Party.SELLER)

    clock.travel(timedelta(hours=47, minutes=59))
    assert order_timeouts.move_due() == 0
    clock.travel(timedelta(minutes=1))
    assert order_timeouts.move_due() == 1
    assert status(store, unanswered) is Status.CANCELLED
    clock.travel(timedelta(hours=24))
    assert order_timeouts.move_due() == 1
    assert status(store, approved) is Status.COMPLETED
    with pytest.raises(Conflict):
        act(store, late, Action.CANCEL, Party.BUYER)
    clock.travel(timedelta(days=11))
    assert order_timeouts.move_due() == 0
    act(store, late, Action.CANCEL, Party.BUYER)

    assert status(store, late) is Status.CANCELLED


def test_an_order_that_is_never_delivered_is_abandoned_thirty_days_after_its_due_date(
    store: Store, order_timeouts: OrderTimeouts, clock: Clock
) -> None:
    never_delivered, sent_back = placed(store), placed(store)
    for order in (never_delivered, sent_back):
        act(store, order, Action.ACCEPT, Party.SELLER)
    clock.travel(timedelta(days=1))
    act(store, sent_back, Action.DELIVER, Party.SELLER)
    act(store, sent_back, Action.REVISE, Party.BUYER)
    last_due_at = store.orders.get(sent_back.id).order.due_at

    clock.travel(last_due_at + TIMEOUTS.overdue - store.now() - timedelta(minutes=1))
    assert order_timeouts.move_due() == 1
    clock.travel(timedelta(minutes=1))
    with pytest.raises(Conflict):
        act(store, sent_back, Action.DELIVER, Party.SELLER)
    assert order_timeouts.move_due() == 1

    for order in (never_delivered, sent_back):
        abandoned = store.orders.get(order.id).order
        assert (abandoned.status, abandoned.refund_due) == (Status.CANCELLED, abandoned.price)
        last = store.orders.history(order.id)[-1]
        assert (last.by, last.action, last.to_status) == (Party.SYSTEM, "abandon", Status.CANCELLED)


def test_the_buyers_timeout_counts_from_the_last_delivery(
    store: Store, order_timeouts: OrderTimeouts, clock: Clock
) -> None:
    order = placed(store)
    act(store, order, Action.ACCEPT, Party.SELLER)
    act(store, order, Action.DELIVER, Party.SELLER)
    clock.travel(timedelta(hours=71))
    act(store, order, Action.REVISE, Party.BUYER)
    act(store, order, Action.DELIVER, Party.SELLER)

    clock.travel(timedelta(hours=71))
    assert order_timeouts.move_due() == 0
    clock.travel(timedelta(hours=1))
    assert order_timeouts.move_due() == 1
    assert status(store, order) is Status.COMPLETED


def test_ten_workers_at_once_move_each_of_three_hundred_orders_once(
    store: Store, order_database: Database, clock: Clock
) -> None:
    orders = [placed(store) for _ in range(300)]
    clock.travel(TIMEOUTS.answer)

    def work() -> int:
        moved = a_worker(store).move_due()
        order_database.close()
        return moved

    with ThreadPoolExecutor(10) as pool:
        moved = [pool.submit(work) for _ in range(10)]
        total = sum(each.result(30) for each in moved)
    # Orders that one worker had locked were skipped by the others, so a last round moves the rest.
    total += a_worker(store).move_due()

    events = order_database.fetch_all(SYSTEM_EVENTS)
    assert total == 300
    assert sorted(row["order_id"] for row in events) == sorted(order.id for order in orders)
    assert {(row["action"], row["by"]) for row in events} == {("expire", "system")}


def test_a_locked_order_is_moved_in_the_next_round(
    store: Store, order_timeouts: OrderTimeouts, clock: Clock, order_database: Database
) -> None:
    order = placed(store)
    clock.travel(TIMEOUTS.answer)

    def move_due_in_a_thread() -> int:
        moved = order_timeouts.move_due()
        order_database.close()
        return moved

    with ThreadPoolExecutor(1) as pool, order_database.transaction():
        order_database.fetch_all(Statement("SELECT id FROM orders WHERE id = $1 FOR UPDATE"), order.id)
        assert pool.submit(move_due_in_a_thread).result(30) == 0

    assert order_timeouts.move_due() == 1


POISON = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poisoned'; END $$;
    CREATE TRIGGER poison BEFORE INSERT ON ledger_transactions
        FOR EACH ROW WHEN (NEW.reference = 'release:{order}') EXECUTE FUNCTION refuse()
"""


def poison(database: Database, order: Order) -> None:
    """Let the database refuse the posting of the order's completion."""
    database.execute(POISON.format(order=order.id))


def test_an_order_that_cannot_be_moved_is_put_off_and_the_others_are_moved(
    store: Store, order_timeouts: OrderTimeouts, clock: Clock, order_database: Database
) -> None:
    refused, following = delivered(store), delivered(store)
    poison(order_database, refused)
    clock.travel(TIMEOUTS.approval)

    with capture_logs() as logs:
        moved = [order_timeouts.move_due() for _ in range(3)]

    assert moved == [1, 0, 0]
    assert (status(store, refused), status(store, following)) == (Status.DELIVERED, Status.COMPLETED)
    assert [(entry["event"], entry["order"]) for entry in logs if entry["log_level"] == "error"] == [
        ("order could not be moved by time", str(refused.id))
    ]
    assert [(each.order_id, each.tries) for each in store.put_off_orders.open()] == [(refused.id, 1)]
    assert sample("marketplace_orders_put_off") == 1


def test_an_order_is_put_off_for_longer_each_time_and_for_an_hour_at_most(
    store: Store, order_timeouts: OrderTimeouts, clock: Clock, order_database: Database
) -> None:
    refused = delivered(store)
    poison(order_database, refused)
    clock.travel(TIMEOUTS.approval)
    before = sample("marketplace_order_timeouts_failed_total")
    seconds = (10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600)

    order_timeouts.move_due()
    for tries, pause in enumerate(seconds, 1):
        clock.travel(timedelta(seconds=pause - 5))
        order_timeouts.move_due()
        assert [each.tries for each in store.put_off_orders.open()] == [tries]
        clock.travel(timedelta(seconds=5))
        order_timeouts.move_due()

    assert [each.tries for each in store.put_off_orders.open()] == [len(seconds) + 1]
    assert sample("marketplace_order_timeouts_failed_total") - before == len(seconds) + 1


def test_an_order_that_was_put_off_is_moved_once_that_is_possible_and_is_forgotten(
    store: Store, order_timeouts: OrderTimeouts, clock: Clock, order_database: Database
) -> None:
    refused = delivered(store)
    poison(order_database, refused)
    clock.travel(TIMEOUTS.approval)
    order_timeouts.move_due()

    order_database.execute("DROP TRIGGER poison ON ledger_transactions")
    clock.travel(FIRST_DELAY)

    assert order_timeouts.move_due() == 1
    assert status(store, refused) is Status.COMPLETED
    assert list(store.put_off_orders.open()) == []
    assert sample("marketplace_orders_put_off") == 0
    assert order_database.fetch_all(Statement("SELECT order_id FROM put_off_orders")) == []


def test_a_deadlock_puts_no_order_off(
    store: Store, order_timeouts: OrderTimeouts, clock: Clock, order_database: Database
) -> None:
    order = delivered(store)
    order_database.execute(POISON.format(order=order.id).replace("'poisoned'", "'lost' USING ERRCODE = '40P01'"))
    clock.travel(TIMEOUTS.approval)
    assert order_timeouts.move_due() == 0
    order_database.execute("DROP TRIGGER poison ON ledger_transactions")

    assert order_timeouts.move_due() == 1
    assert list(store.put_off_orders.open()) == []


def test_an_order_expires_before_its_authorization_does(
    store: Store, order_timeouts: OrderTimeouts, clock: Clock
) -> None:
    def a_short_authorization(now: datetime) -> Change:
        placing = a_placing(now)
        return replace(placing, order=replace(placing.order, capture_before=now + timedelta(hours=5)))

    order, other = store_placing(store, a_short_authorization), placed(store)
    clock.travel(timedelta(hours=3, minutes=59))
    assert order_timeouts.move_due() == 0
    clock.travel(timedelta(minutes=1))

    with pytest.raises(Conflict):
        act(store, order, Action.ACCEPT, Party.SELLER)
    assert order_timeouts.move_due() == 1

    assert (status(store, order), status(store, other)) == (Status.CANCELLED, Status.PENDING)


def test_an_order_whose_payment_is_being_captured_does_not_expire(
    store: Store, order_timeouts: OrderTimeouts, clock: Clock
) -> None:
    order = placed(store)
    store_change(store, order.id, lambda locked, now: Change(begin_capture(locked)))
    clock.travel(timedelta(days=30))

    assert order_timeouts.move_due() == 0
    assert status(store, order) is Status.PENDING
