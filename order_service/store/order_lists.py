"""Lists of orders in PostgreSQL: one statement for each combination of filters, so that each plan fits its filters.

Every list is a merge of branches, and each branch is a range of one index, read in the order of the list. A branch has
one status, so that one index serves a list with and without a status; see docs/adr/0014-lists-of-orders.md. Where two
filters could lead, one is written as IS NOT DISTINCT FROM, which no index serves: the choice between indexes then does
not depend on the planner's statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

from order_service.domain.listing import OrderFilter
from order_service.domain.order import Status
from order_service.store.orders import COLUMNS, LINES, OrderReading, to_reading
from servicekit.database import Database, Statement

# The parameters of every statement; those of its filters follow, in the order of the fields of OrderFilter.
AFTER_TIME, AFTER_ID = "$2::timestamptz", "$3::uuid"
# Hidden from the planner, which then expects a tenth of the rows to be read; a sort would have to read all of them.
# With a limit that it knows, and too low an estimate of the rows, it reads and sorts them.
LIMIT = "(SELECT $1::integer)"
FIRST_FILTER = 4
TYPES = {"status": "text", "placed_after": "timestamptz", "placed_before": "timestamptz"}
# A filter without a value, which is part of the statement itself.
FLAG = "had_chargeback"
FILTERS = tuple(field.name for field in fields(OrderFilter))


class PageKey(NamedTuple):
    """The end of a page: the time (aware) and the id of its last order."""

    created_at: datetime
    id: UUID


# The keys before every order, by whether the oldest comes first.
START = {
    True: PageKey(datetime.min.replace(tzinfo=UTC), UUID(int=0)),
    False: PageKey(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1)),
}


class OrderLists:
    """Pages of orders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, order_filter: OrderFilter, *, oldest_first: bool = False, after: PageKey | None = None, limit: int
    ) -> list[OrderReading]:
        """Return the first `limit` orders that meet the filter and come after this one; from the start without one."""
        given = {name: value for name, value in asdict(order_filter).items() if value}
        values = [value for name, value in given.items() if name != FLAG]
        key = after or START[oldest_first]
        rows = self._database.fetch_all(statement(frozenset(given), oldest_first), limit, *key, *values)
        return [to_reading(row) for row in rows]


@cache
def statement(given: frozenset[str], oldest_first: bool) -> Statement:
    """Return the statement of a page with these filters of OrderFilter."""
    order = "created_at, id" if oldest_first else "created_at DESC, id DESC"
    comparison = ">" if oldest_first else "<"
    branches = [
        f"""(
            SELECT {COLUMNS}, has_lines FROM orders
            WHERE {conditions} AND (created_at, id) {comparison} ({AFTER_TIME}, {AFTER_ID})
            ORDER BY {order} LIMIT {LIMIT}
        )"""
        for conditions in _branches(given)
    ]
    return Statement(f"""
        SELECT {COLUMNS}, {LINES.format("orders")}, (SELECT app_now()) AS now
        FROM ({" UNION ALL ".join(branches)}) AS orders
        ORDER BY {order} LIMIT {LIMIT}
    """)


def _branches(given: frozenset[str]) -> Iterator[str]:
    """Yield the conditions of each branch."""
    names = [name for name in FILTERS if name in given and name != FLAG]
    parameters = {name: f"${number}::{TYPES.get(name, 'uuid')}" for number, name in enumerate(names, FIRST_FILTER)}
    rest = list(_common(given, parameters))
    if "buyer_id" in given and given & {"seller_id", "gig_id"}:
        # All orders between two people: few enough to read them all for the other filters.
        yield " AND ".join([*_between_two(parameters), *rest])
        return
    for party in ("buyer_id", "seller_id") if "participant_id" in given else ("",):
        leading = [f"{party} = {parameters['participant_id']}"] if party else list(_leading(parameters))
        for status in [parameters["status"]] if "status" in given else [f"'{status}'" for status in Status]:
            yield " AND ".join([*leading, f"status = {status}", *rest])


def _between_two(parameters: dict[str, str]) -> Iterator[str]:
    yield f"buyer_id = {parameters['buyer_id']}"
    yield f"seller_id = {parameters['seller_id'] if 'seller_id' in parameters else _seller_of_gig(parameters)}"
    for name in ("gig_id", "status"):
        if name in parameters:
            yield f"{name} IS NOT DISTINCT FROM {parameters[name]}"


def _leading(parameters: dict[str, str]) -> Iterator[str]:
    """Yield the conditions on a buyer, a seller or a gig, of which one leads."""
    for name in ("buyer_id", "gig_id"):
        if name in parameters:
            yield f"{name} = {parameters[name]}"
    if "seller_id" in parameters and "gig_id" in parameters:
        # The first is checked once: without it, all orders of another seller's gig are read for nothing.
        yield f"{parameters['seller_id']} = {_seller_of_gig(parameters)}"
        yield f"seller_id IS NOT DISTINCT FROM {parameters['seller_id']}"
    elif "seller_id" in parameters:
        yield f"seller_id = {parameters['seller_id']}"


def _seller_of_gig(parameters: dict[str, str]) -> str:
    """Return the SQL of the seller of the gig; a gig has one."""
    return f"(SELECT seller_id FROM orders WHERE gig_id = {parameters['gig_id']} LIMIT 1)"


def _common(given: frozenset[str], parameters: dict[str, str]) -> Iterator[str]:
    if "placed_after" in given:
        yield f"created_at >= {parameters['placed_after']}"
    if "placed_before" in given:
        yield f"created_at < {parameters['placed_before']}"
    if FLAG in given:
        yield FLAG
