"""The look for orders that are due: how many rows it reads among many orders that wait."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from order_service.store.orders import FIRST_DUE, DueKey, Waiting
from order_service.store.store import Store
from servicekit.database import Database
from tests.support.orders import store_placing

# An hour before the moment of all of these orders, so that time acts on none, and all have had their reminder.
MANY = """
    INSERT INTO orders SELECT copies.* FROM orders, (SELECT app_now()) AS clock (now), (
        VALUES ('PENDING'), ('IN_PROGRESS'), ('DELIVERED')
    ) AS statuses (status), generate_series(1, 1000) AS number, jsonb_populate_record(orders, jsonb_build_object(
        'id', md5(statuses.status || number)::uuid, 'status', statuses.status, 'payment_reference', '',
        'created_at', now - interval '47 hours', 'capture_before', now + interval '5 days',
        'due_at', now + interval '1 hour', 'last_delivered_at', now - interval '71 hours'
    )) AS copies;
    UPDATE orders SET reminded_of = CASE status
        WHEN 'PENDING' THEN created_at WHEN 'IN_PROGRESS' THEN due_at ELSE last_delivered_at
    END;
"""
# How long the orders have waited at the moment itself, and the lead of the reminder, in hours.
WAITS = {
    Waiting.ANSWER: (48, 0),
    Waiting.CAPTURE: (-1, 0),
    Waiting.APPROVAL: (72, 0),
    Waiting.DELIVERY: (24 * 30, 0),
    Waiting.ANSWER_REMINDER: (48, 12),
    Waiting.CAPTURE_REMINDER: (-1, 12),
    Waiting.APPROVAL_REMINDER: (72, 24),
    Waiting.DELIVERY_REMINDER: (0, 24),
}


@pytest.fixture
def store(order_database: Database) -> Store:
    store = Store(order_database)
    store_placing(store)
    order_database.execute(MANY)
    return store


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def scan_of(database: Database, waiting: Waiting, wait: timedelta, after: DueKey) -> dict[str, Any]:
    """Run the look, whose statement is prepared. Return the node of its plan that reads orders."""
    with database.transaction(), database.peewee.connection().cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {waiting.value.name} (%s, %s, %s)", (wait, *after))
        [(found,)] = cursor.fetchall()
    plan = (found if isinstance(found, list) else json.loads(found))[0]["Plan"]
    (scan,) = [node for node in nodes(plan) if node.get("Relation Name") == "orders"]
    return scan


@pytest.mark.parametrize("waiting", Waiting)
@pytest.mark.parametrize("analyze", [False, True], ids=["without statistics", "with statistics"])
def test_a_look_reads_no_order_that_is_not_due_or_has_had_its_reminder(
    store: Store, order_database: Database, waiting: Waiting, analyze: bool
) -> None:
    hours, lead = WAITS[waiting]
    wait, after = timedelta(hours=hours - lead), FIRST_DUE
    if lead:
        after = DueKey(store.now() - timedelta(hours=hours), UUID(int=0))
    order_database.execute("SET plan_cache_mode = force_generic_plan")
    if analyze:
        order_database.execute("ANALYZE orders")

    assert store.orders.lock_next_due(waiting, wait, after) is None
    scan = scan_of(order_database, waiting, wait, after)

    assert scan["Node Type"] == "Index Scan", scan
    assert (scan["Actual Rows"], scan.get("Rows Removed by Filter", 0)) == (0, 0), scan


def test_a_look_for_reminders_does_not_read_the_orders_whose_moment_has_passed(
    store: Store, order_database: Database
) -> None:
    order_database.execute("UPDATE orders SET reminded_of = NULL, due_at = app_now() - interval '1 minute'")
    order_database.execute("SET plan_cache_mode = force_generic_plan")
    wait, after = timedelta(hours=-24), DueKey(store.now(), UUID(int=0))

    assert store.orders.lock_next_due(Waiting.DELIVERY_REMINDER, wait, after) is None
    scan = scan_of(order_database, Waiting.DELIVERY_REMINDER, wait, after)

    assert (scan["Index Name"], scan["Actual Rows"]) == ("orders_due_soon", 0), scan
    assert scan.get("Rows Removed by Filter", 0) == 0, scan
