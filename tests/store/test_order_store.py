"""Orders and their history in a real PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from order_service.domain.lifecycle import Action, Command, move
from order_service.domain.listing import OrderFilter
from order_service.domain.order import Change, Event, Order, Party, Status
from order_service.domain.placing import Extra
from order_service.store.orders import FIRST_DUE, Waiting
from order_service.store.store import Store
from servicekit.clock import Clock
from servicekit.database import Database, Row, Statement
from servicekit.errors import Conflict, NotFound
from servicekit.ids import new_id
from tests.support.at_once import at_once, closing
from tests.support.locks import wait_for_a_lock_waiter
from tests.support.orders import (
    BUYER,
    TIMEOUTS,
    a_placing,
    an_order_request,
    store_change,
    store_placing,
)

HISTORY = Statement("SELECT * FROM order_events WHERE order_id = $1 ORDER BY version")


@pytest.fixture
def store(order_database: Database) -> Store:
    return Store(order_database)


@pytest.fixture
def clock(order_database: Database) -> Clock:
    return Clock(order_database)


def placed(store: Store, buyer: UUID = BUYER, **terms: Any) -> Order:
    """Store a new order; keyword arguments change the terms."""
    return store_placing(store, lambda now: a_placing(now, an_order_request(buyer_id=buyer), **terms))


def act(store: Store, order: Order, action: Action, party: Party, message: str = "") -> Order:
    return store_change(
        store,
        order.id,
        lambda locked, now: move(locked, Command(action, message), frozenset({party}), now=now, timeouts=TIMEOUTS),
    )


def history(database: Database, order: Order) -> list[Row]:
    return database.fetch_all(HISTORY, order.id)


def test_a_stored_order_is_read_back_unchanged(store: Store) -> None:
    order = placed(store, price=Decimal("19.99"))

    stored, now = store.orders.get(order.id)

    assert stored == order
    assert order.created_at <= now < order.created_at + timedelta(minutes=1)


def test_lines_are_read_back_with_their_order_in_every_way(store: Store) -> None:
    language = Extra(new_id(), "Second language", Decimal("180.01"), 4, 1)
    sources = Extra(new_id(), "Sources", Decimal(20), 0, 0)
    request = an_order_request(extra_ids=(sources.id, language.id), quantity=3)
    order = store_placing(store, lambda now: a_placing(now, request, extras=(language, sources)))
    plain = placed(store)

    assert [(line.title, line.quantity) for line in order.lines] == [
        ("Basic Website", 3), ("Sources", 1), ("Second language", 1)
    ]  # fmt: skip
    assert (store.orders.get(order.id).order, store.orders.get(plain.id).order) == (order, plain)
    listed = store.order_lists.page(OrderFilter(buyer_id=BUYER), limit=10)
    assert [reading.order for reading in listed] == [plain, order]
    with store.transaction("look"):
        assert store.orders.lock(order.id).order == order
        due = store.orders.lock_next_due(Waiting.ANSWER, timedelta(0), FIRST_DUE)
        assert due is not None
        assert due.order == order
    assert act(store, order, Action.ACCEPT, Party.SELLER).lines == store.orders.get(order.id).order.lines == order.lines


def test_an_unknown_order_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="Order not found"):
        store.orders.get(new_id())
    with pytest.raises(NotFound, match="Order not found"):
        store_change(store, new_id(), lambda order, now: pytest.fail("there is nothing to decide upon"))


def test_the_placing_is_the_first_row_of_the_history(store: Store, order_database: Database) -> None:
    order = placed(store)

    (row,) = history(order_database, order)

    assert (row["version"], row["by"], row["action"]) == (1, "buyer", "place")
    assert (row["came_from"], row["went_to"], row["at"]) == (None, "PENDING", order.created_at)


def test_every_change_is_stored_with_its_row_of_the_history(store: Store, order_database: Database) -> None:
    order = placed(store)

    act(store, order, Action.ACCEPT, Party.SELLER, "On it")
    delivered = act(store, order, Action.DELIVER, Party.SELLER, "Here")
    revised = act(store, order, Action.REVISE, Party.BUYER, "Bluer")

    assert store.orders.get(order.id).order == revised
    assert revised.first_delivered_at == delivered.updated_at
    rows = [(row["by"], row["action"], row["came_from"], row["went_to"], row["message"])
            for row in history(order_database, order)]  # fmt: skip
    assert rows == [
        ("buyer", "place", None, "PENDING", ""),
        ("seller", "accept", "PENDING", "IN_PROGRESS", "On it"),
        ("seller", "deliver", "IN_PROGRESS", "DELIVERED", "Here"),
        ("buyer", "revise", "DELIVERED", "IN_PROGRESS", "Bluer"),
    ]


def test_the_history_is_listed_oldest_first(store: Store) -> None:
    order = placed(store)
    accepted = act(store, order, Action.ACCEPT, Party.SELLER, "On it")

    assert store.orders.history(order.id) == [
        Event(order.created_at, Party.BUYER, "place", None, Status.PENDING, ""),
        Event(accepted.updated_at, Party.SELLER, "accept", Status.PENDING, Status.IN_PROGRESS, "On it"),
    ]
    assert store.orders.history(new_id()) == []


def test_the_time_is_read_after_the_order_is_locked(store: Store, order_database: Database) -> None:
    order = placed(store)
    is_locked, release = threading.Event(), threading.Event()

    def slowly(locked: Order, now: datetime) -> Change:
        is_locked.set()
        assert release.wait(30)
        return move(locked, Command(Action.ACCEPT), frozenset({Party.SELLER}), now=now, timeouts=TIMEOUTS)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(closing(order_database, lambda: store_change(store, order.id, slowly)))
        assert is_locked.wait(30)
        second = pool.submit(closing(order_database, lambda: act(store, order, Action.DELIVER, Party.SELLER)))
        wait_for_a_lock_waiter(order_database)
        before_release = Clock(order_database).now()
        release.set()
        first.result(30)

        assert second.result(30).updated_at > before_release


def test_a_refused_change_stores_nothing(store: Store, order_database: Database) -> None:
    order = placed(store)

    with pytest.raises(Conflict):
        act(store, order, Action.COMPLETE, Party.BUYER)

    assert store.orders.get(order.id).order == order
    assert len(history(order_database, order)) == 1


def test_a_placing_whose_event_cannot_be_stored_stores_no_order(store: Store, order_database: Database) -> None:
    order_database.execute("ALTER TABLE order_events ADD CHECK (action <> 'place') NOT VALID")

    with pytest.raises(psycopg2.IntegrityError):
        placed(store)

    assert store.order_lists.page(OrderFilter(), limit=1) == []


def test_the_time_is_the_databases_and_a_test_can_move_it(store: Store, clock: Clock) -> None:
    order = placed(store, delivery_days=14)
    act(store, order, Action.ACCEPT, Party.SELLER)
    clock.travel(timedelta(days=14, seconds=1))

    cancelled = act(store, order, Action.CANCEL, Party.BUYER)

    assert cancelled.status is Status.CANCELLED
    assert cancelled.updated_at > order.due_at


@pytest.mark.parametrize("rivals", [(Action.ACCEPT, Party.SELLER), (Action.CANCEL, Party.BUYER)])
def test_of_two_actions_at_the_same_moment_exactly_one_wins(
    store: Store, order_database: Database, rivals: tuple[Action, Party]
) -> None:
    for _ in range(10):
        order = placed(store)

        outcomes = at_once(
            [
                partial(act, store, order, Action.DECLINE, Party.SELLER),
                partial(act, store, order, *rivals),
            ],
            order_database,
        )

        assert sorted(outcomes) == ["INVALID_TRANSITION", "won"]
        assert len(history(order_database, order)) == 2


def test_twenty_concurrent_completions_complete_an_order_once(store: Store, order_database: Database) -> None:
    order = placed(store)
    act(store, order, Action.ACCEPT, Party.SELLER)
    act(store, order, Action.DELIVER, Party.SELLER)

    outcomes = at_once([partial(act, store, order, Action.COMPLETE, Party.BUYER)] * 20, order_database)

    assert sorted(outcomes) == ["INVALID_TRANSITION"] * 19 + ["won"]
    assert [row["version"] for row in history(order_database, order)] == [1, 2, 3, 4]


def test_a_concurrent_action_decides_upon_the_status_that_the_first_has_stored(
    store: Store, order_database: Database
) -> None:
    order = placed(store)
    statuses: list[Status] = []
    is_locked, release = threading.Event(), threading.Event()

    def slowly(locked: Order, now: datetime) -> Change:
        is_locked.set()
        assert release.wait(30)
        return move(locked, Command(Action.ACCEPT), frozenset({Party.SELLER}), now=now, timeouts=TIMEOUTS)

    def recording(locked: Order, now: datetime) -> Change:
        statuses.append(locked.status)
        return move(locked, Command(Action.DELIVER), frozenset({Party.SELLER}), now=now, timeouts=TIMEOUTS)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(closing(order_database, lambda: store_change(store, order.id, slowly)))
        assert is_locked.wait(30)
        second = pool.submit(closing(order_database, lambda: store_change(store, order.id, recording)))
        release.set()
        first.result(30)
        second.result(30)

    assert statuses == [Status.IN_PROGRESS]
