"""Lists of orders in a real PostgreSQL: every combination of filters, pages, and their plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from itertools import combinations, product
from typing import Any
from uuid import UUID

import pytest

from order_service.domain.listing import OrderFilter
from order_service.domain.order import Change, Order, Status
from order_service.store.order_lists import FILTERS, START, PageKey, statement
from order_service.store.store import Store
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.orders import NOON, a_placing, an_order_request, store_placing

BUYERS = [new_id() for _ in range(3)]
SELLERS = [new_id() for _ in range(3)]
# Two gigs of each seller.
GIGS = {new_id(): seller for seller in SELLERS for _ in range(2)}
CHARGEBACK = "INSERT INTO chargebacks (id, order_id, amount, state, reported_at) VALUES (%s, %s, 1, 'WON', app_now())"


@pytest.fixture
def store(order_database: Database) -> Store:
    return Store(order_database)


def place(store: Store, buyer: UUID, gig: UUID, at: datetime = NOON, status: Status = Status.PENDING) -> Order:
    """Store an order that was placed at this time and has this status now."""
    request = an_order_request(buyer_id=buyer)

    def placing(_now: datetime) -> Change:
        change = a_placing(at, request, gig_id=gig, seller_id=GIGS[gig])
        return replace(change, order=replace(change.order, status=status))

    return store_placing(store, placing)


def place_many(store: Store, database: Database) -> list[tuple[Order, bool]]:
    """Store orders of all buyers and gigs; return each, oldest first, with whether it has ever had a chargeback."""
    orders = []
    for number, (buyer, gig) in enumerate(product(BUYERS, GIGS)):
        # Two have the same time, so that the ids decide.
        at = NOON + timedelta(minutes=number // 2)
        orders.append(place(store, buyer, gig, at, list(Status)[number % 5]))
    charged_back = {order.id for order in orders[::3]}
    for order_id in charged_back:
        database.execute(CHARGEBACK, (str(order_id), order_id))
    return sorted(
        ((order, order.id in charged_back) for order in orders), key=lambda pair: (pair[0].created_at, pair[0].id)
    )


def meets(order: Order, had_chargeback: bool, conditions: OrderFilter) -> bool:
    """Return whether the order meets the filter, decided without SQL."""
    checks: dict[str, Callable[[Any], bool]] = {
        "participant_id": lambda value: value in (order.buyer_id, order.seller_id),
        "buyer_id": lambda value: value == order.buyer_id,
        "seller_id": lambda value: value == order.seller_id,
        "gig_id": lambda value: value == order.gig_id,
        "status": lambda value: value is order.status,
        "placed_after": lambda value: order.created_at >= value,
        "placed_before": lambda value: order.created_at < value,
        "had_chargeback": lambda value: had_chargeback,
    }
    return all(checks[name](value) for name, value in asdict(conditions).items() if value)


def filters() -> Iterator[OrderFilter]:
    """Yield every combination of filters, with values that some orders meet, or none."""
    gig, other_gig = next(iter(GIGS)), list(GIGS)[-1]
    values = {
        "participant_id": SELLERS[0],
        "buyer_id": BUYERS[0],
        "seller_id": GIGS[gig],
        "gig_id": gig,
        "status": Status.IN_PROGRESS,
        "placed_after": NOON + timedelta(minutes=1),
        "placed_before": NOON + timedelta(minutes=7),
        "had_chargeback": True,
    }
    for size in range(len(values) + 1):
        for names in combinations(values, size):
            if "participant_id" in names and {"buyer_id", "seller_id", "gig_id"} & set(names):
                continue
            yield OrderFilter(**{name: values[name] for name in names})  # type: ignore[arg-type]
    yield OrderFilter(seller_id=GIGS[other_gig], gig_id=gig)
    yield OrderFilter(buyer_id=BUYERS[0], seller_id=GIGS[other_gig], gig_id=gig)
    yield OrderFilter(gig_id=new_id())
    yield OrderFilter(participant_id=BUYERS[1])


@pytest.mark.parametrize("oldest_first", [False, True])
def test_every_combination_of_filters_lists_exactly_the_orders_that_meet_it(
    store: Store, order_database: Database, oldest_first: bool
) -> None:
    orders = place_many(store, order_database)

    for conditions in filters():
        found = store.order_lists.page(conditions, oldest_first=oldest_first, limit=100)
        expected = [order.id for order, had_chargeback in orders if meets(order, had_chargeback, conditions)]
        assert [reading.order.id for reading in found] == expected[:: 1 if oldest_first else -1], conditions


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize(
    "conditions",
    [
        OrderFilter(),
        OrderFilter(participant_id=BUYERS[0]),
        OrderFilter(buyer_id=BUYERS[0]),
        OrderFilter(status=Status.PENDING),
        OrderFilter(buyer_id=BUYERS[0], seller_id=SELLERS[0]),
    ],
)
def test_pages_neither_skip_nor_repeat_while_orders_are_placed(
    store: Store, order_database: Database, conditions: OrderFilter, oldest_first: bool
) -> None:
    gig = next(iter(GIGS))
    before = [place(store, BUYERS[0], gig).id for _ in range(7)]
    seen: list[UUID] = []

    after = None
    while page := store.order_lists.page(conditions, oldest_first=oldest_first, after=after, limit=2):
        seen += [reading.order.id for reading in page]
        after = PageKey(page[-1].order.created_at, page[-1].order.id)
        # Outside of the pages that are still to come.
        place(store, BUYERS[0], gig, NOON + timedelta(hours=-1 if oldest_first else 1))

    # Orders of the same moment are sorted by their ids.
    assert seen == sorted(before, reverse=not oldest_first)


@pytest.mark.parametrize("plans", ["force_generic_plan", "force_custom_plan"])
def test_no_list_reads_or_sorts_more_than_its_page_even_without_statistics(
    store: Store, order_database: Database, plans: str
) -> None:
    place_many(store, order_database)
    order_database.execute(f"SET plan_cache_mode = {plans}; SET enable_seqscan = off")

    for oldest_first, conditions in product((False, True), filters()):
        store.order_lists.page(conditions, oldest_first=oldest_first, limit=21)
        given = [name for name in FILTERS if getattr(conditions, name)]
        prepared = statement(frozenset(given), oldest_first)
        values = [getattr(conditions, name) for name in given if name != "had_chargeback"]
        arguments = (21, *START[oldest_first], *values)
        with order_database.peewee.connection().cursor() as cursor:
            cursor.execute(f"EXPLAIN EXECUTE {prepared.name} ({', '.join(['%s'] * len(arguments))})", arguments)
            plan = "\n".join(line for (line,) in cursor.fetchall())
        # The lines are looked up for the orders of the page alone, and sorted for each of them.
        plan, _, lines = plan.partition("SubPlan")

        assert "on order_lines" in lines, lines
        assert "Seq Scan on orders" not in plan, (conditions, plan)
        assert "Bitmap" not in plan, (conditions, plan)
        # A branch comes from its index in the order of the list.
        assert plan.count("Sort") <= 1, (conditions, plan)
