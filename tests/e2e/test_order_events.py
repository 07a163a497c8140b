"""The history of an order, and what passing time does to it, through the real edge."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from deploy.local.postgres import database_url
from servicekit.clock import Clock
from servicekit.database import Database, Statement
from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import Market, a_name, ok

REMINDERS = Statement("SELECT type FROM events WHERE order_id = $1 AND type = $2")


@pytest.fixture
def orders(stack: Stack) -> Iterator[Database]:
    """Return OrderService's database."""
    database = Database(database_url(stack.layout, "orders"))
    yield database
    database.close()


@pytest.fixture
def clock(orders: Database) -> Iterator[Clock]:
    """Return the orders' clock; afterwards it is as it was."""
    yield Clock(orders)
    orders.execute("UPDATE app_clock SET ahead = '0'")


def events(client: Any, order: str) -> list[dict[str, Any]]:
    history: list[dict[str, Any]] = ok(client.get(f"/api/orders/{order}/events"))["events"]
    return history


def test_the_history_is_for_both_sides_and_admins_alone(stack: Stack, market: Market) -> None:
    order = market.delivered(market.gig())
    admin, stranger = stack.client(a_name("admin"), "admin"), stack.client(a_name("stranger"), "buyer")

    history = events(market.buyer, order)

    assert events(market.seller, order) == events(admin, order) == history
    assert [{**event, "at": ""} for event in history] == [
        {"at": "", "by": "buyer", "action": "place", "to": "PENDING", "message": "", "files": []},
        {
            "at": "",
            "by": "seller",
            "action": "accept",
            "from": "PENDING",
            "to": "IN_PROGRESS",
            "message": "",
            "files": [],
        },
        {
            "at": "",
            "by": "seller",
            "action": "deliver",
            "from": "IN_PROGRESS",
            "to": "DELIVERED",
            "message": "Here it is",
            "files": [],
        },
    ]
    assert stranger.get(f"/api/orders/{order}/events").status_code == 404
    assert market.anyone.get(f"/api/orders/{order}/events").status_code == 401
    assert market.buyer.get(f"/api/orders/{uuid4()}/events").status_code == 404


def test_time_closes_what_nobody_answers_and_completes_what_nobody_objects_to(market: Market, clock: Clock) -> None:
    gig = market.gig()
    unanswered, delivered = market.order(gig), market.delivered(gig)

    clock.travel(timedelta(hours=48))
    eventually(lambda: status(market, unanswered) == "CANCELLED", every=0.1)
    assert ok(market.buyer.get(f"/api/orders/{delivered}"))["status"] == "DELIVERED"
    clock.travel(timedelta(hours=24))
    eventually(lambda: status(market, delivered) == "COMPLETED", every=0.1)

    assert {**events(market.buyer, unanswered)[-1], "at": ""} == {
        "at": "",
        "by": "system",
        "action": "expire",
        "from": "PENDING",
        "to": "CANCELLED",
        "message": "",
        "files": [],
    }
    assert events(market.buyer, delivered)[-1]["action"] == "auto_complete"


def test_time_reminds_of_orders_and_their_history_stays_as_it_was(
    market: Market, orders: Database, clock: Clock
) -> None:
    gig = market.gig()
    reminders = {market.order(gig): (36, "order.expiring"), market.delivered(gig): (48, "order.auto_completing")}
    hour = 0

    for order, (due, reminder) in reminders.items():
        seen = ok(market.buyer.get(f"/api/orders/{order}")), events(market.buyer, order)
        clock.travel(timedelta(hours=due - hour))
        hour = due
        eventually(partial(orders.fetch_all, REMINDERS, order, reminder), every=0.1)

        assert (ok(market.buyer.get(f"/api/orders/{order}")), events(market.buyer, order)) == seen
        assert len(orders.fetch_all(REMINDERS, order, reminder)) == 1


def status(market: Market, order: str) -> str:
    return str(ok(market.buyer.get(f"/api/orders/{order}"))["status"])
