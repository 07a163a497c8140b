"""Reminders of orders, with a real database whose clock is moved."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from order_service.commands.remind_of_order import RemindOfOrder
from order_service.domain.order import Change, Order, Status
from order_service.domain.reminders import Leads
from order_service.domain.settlement import begin_capture
from order_service.store.feed import ORDER
from order_service.store.orders import DueKey, DueOrder, Waiting
from order_service.store.put_off_orders import FIRST_DELAY
from order_service.store.store import Store
from order_service.workers.reminders import Reminders
from servicekit.database import Database, Statement
from tests.support import webhooks
from tests.support.at_once import closing
from tests.support.orders import LEADS, TIMEOUTS, a_placing, store_change, store_placing
from tests.support.orderservice import ADMIN, BUYER, SELLER, OrderBackend

IDS_OF_REMINDERS = Statement("SELECT id FROM events WHERE type = 'order.expiring'")
TOKENS = (BUYER, SELLER, ADMIN)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
REMINDERS = Statement("""
    SELECT type, order_id, version, at, buyer_id, seller_id, subject FROM events
    WHERE type IN ('order.expiring', 'order.due_soon', 'order.auto_completing') ORDER BY sequence
""")


def a_worker(store: Store, leads: Leads = LEADS) -> Reminders:
    return Reminders(store, RemindOfOrder(store, TIMEOUTS, leads), TIMEOUTS, leads)


def feed(world: OrderBackend) -> list[tuple[str, str]]:
    """Return the type and the order of each reminder in the feed, the oldest first."""
    return [(row["type"], str(row["order_id"])) for row in world.database.fetch_all(REMINDERS)]


def stored(world: OrderBackend, order_id: str) -> Order:
    return world.store.orders.get(UUID(order_id)).order


def travel_to(world: OrderBackend, moment: datetime) -> None:
    world.clock.travel(moment - world.store.now())


def sample(name: str, **labels: str) -> float:
    """Return the value of a metric of this process."""
    return REGISTRY.get_sample_value(name, labels) or 0


def test_each_wait_of_an_order_has_its_reminder_before_time_acts(world: OrderBackend) -> None:
    order = world.placed()

    world.clock.travel(36 * HOUR - MINUTE)
    assert world.reminders.remind_due() == 0
    world.clock.travel(MINUTE)
    assert [world.reminders.remind_due() for _ in range(2)] == [1, 0]
    world.act("accept", order, SELLER)
    travel_to(world, stored(world, order).due_at - 24 * HOUR - MINUTE)
    assert world.reminders.remind_due() == 0
    world.clock.travel(MINUTE)
    assert [world.reminders.remind_due() for _ in range(2)] == [1, 0]
    world.act("deliver", order, SELLER)
    world.clock.travel(48 * HOUR - MINUTE)
    assert world.reminders.remind_due() == 0
    world.clock.travel(MINUTE)
    assert [world.reminders.remind_due() for _ in range(2)] == [1, 0]
    world.clock.travel(24 * HOUR)
    assert world.order_timeouts.move_due() == 1

    assert feed(world) == [("order.expiring", order), ("order.due_soon", order), ("order.auto_completing", order)]
    assert world.status(order) == "COMPLETED"


def test_webhooks_of_both_sides_and_of_admins_get_a_reminder_as_its_type(world: OrderBackend) -> None:
    types = ["order.expiring"]
    endpoints = {side: webhooks.create(world, sent_token=side, types=types).response.id for side in TOKENS}
    order = world.placed()
    world.clock.travel(40 * HOUR)

    assert world.reminders.remind_due() == 1

    [event] = world.database.fetch_all(IDS_OF_REMINDERS)
    assert feed(world) == [("order.expiring", order)]
    for side, endpoint in endpoints.items():
        [delivery] = webhooks.deliveries(world, endpoint, side)
        assert delivery.event_id == str(event["id"])


def test_an_event_of_a_reminder_shows_the_order_as_it_is(world: OrderBackend) -> None:
    order_id = world.placed()
    world.clock.travel(40 * HOUR)
    before = world.store.now()
    world.reminders.remind_due()

    (row,) = world.database.fetch_all(REMINDERS)

    order = stored(world, order_id)
    assert (row["version"], row["buyer_id"], row["seller_id"]) == (order.version, order.buyer_id, order.seller_id)
    assert before <= row["at"] <= world.store.now()
    assert ORDER.validate_python(row["subject"]) == order


def test_the_order_and_its_history_are_as_before_to_clients(world: OrderBackend) -> None:
    order = world.placed()
    world.clock.travel(36 * HOUR)
    seen = [world.get(order, who).response for who in (BUYER, SELLER)]
    history = world.events(order, BUYER).response

    assert world.reminders.remind_due() == 1

    assert [world.get(order, who).response for who in (BUYER, SELLER)] == seen
    assert world.events(order, BUYER).response == history
    world.act("accept", order, SELLER)
    assert world.history(order) == [("buyer", "place"), ("seller", "accept")]


def test_an_outage_longer_than_the_lead_leaves_no_reminder(world: OrderBackend) -> None:
    unanswered, late, delivered = world.placed(), world.accepted(), world.delivered()
    travel_to(world, stored(world, late).due_at)

    # Before order timeouts, which are as late.
    assert world.reminders.remind_due() == 0
    world.order_timeouts.move_due()
    assert [world.status(order) for order in (unanswered, late, delivered)] == ["CANCELLED", "IN_PROGRESS", "COMPLETED"]
    assert world.reminders.remind_due() == 0
    assert feed(world) == []


def test_orders_whose_moment_has_passed_are_not_even_looked_at(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [world.accepted() for _ in range(3)]
    travel_to(world, stored(world, late[-1]).due_at)
    looks: list[DueOrder | None] = []
    lock_next_due = world.store.orders.lock_next_due

    def recording(waiting: Waiting, wait: timedelta, after: DueKey) -> DueOrder | None:
        looks.append(lock_next_due(waiting, wait, after))
        return looks[-1]

    monkeypatch.setattr(world.store.orders, "lock_next_due", recording)
    world.reminders.remind_due()

    assert looks == [None] * 4


def test_a_reminder_that_an_outage_has_delayed_comes_late(world: OrderBackend) -> None:
    unanswered, delivered, late = world.placed(), world.delivered(), world.accepted()

    world.clock.travel(48 * HOUR - MINUTE)
    assert world.reminders.remind_due() == 1
    world.clock.travel(24 * HOUR)
    assert world.reminders.remind_due() == 1
    travel_to(world, stored(world, late).due_at - MINUTE)
    assert world.reminders.remind_due() == 1

    assert feed(world) == [
        ("order.expiring", unanswered),
        ("order.auto_completing", delivered),
        ("order.due_soon", late),
    ]


def test_a_revision_brings_a_new_due_date_and_its_reminder(world: OrderBackend) -> None:
    order = world.accepted()
    first_due_at = stored(world, order).due_at
    travel_to(world, first_due_at - HOUR)
    world.reminders.remind_due()
    world.act("deliver", order, SELLER)
    world.act("revise", order, BUYER, "Bluer")

    assert world.reminders.remind_due() == 0
    due_at = stored(world, order).due_at
    assert due_at > first_due_at
    travel_to(world, due_at - HOUR)
    world.reminders.remind_due()

    assert feed(world) == [("order.due_soon", order)] * 2


def test_an_order_of_one_day_is_reminded_of_as_soon_as_it_begins(world: OrderBackend) -> None:
    world.offer_package(delivery_days=1)
    order = world.placed()
    assert world.reminders.remind_due() == 0

    world.act("accept", order, SELLER)

    assert world.reminders.remind_due() == 1
    assert feed(world) == [("order.due_soon", order)]


def test_a_lead_longer_than_the_wait_reminds_at_once_and_no_lead_never(world: OrderBackend) -> None:
    year, nothing = timedelta(days=365), timedelta(0)
    world.placed(), world.accepted(), world.delivered()

    never = a_worker(world.store, Leads(nothing, nothing, nothing))
    at_once = a_worker(world.store, Leads(year, year, year))

    assert never.remind_due() == 0
    assert [at_once.remind_due(), at_once.remind_due()] == [3, 0]


def test_an_order_whose_card_authorization_ends_soon_is_reminded_of_in_time(world: OrderBackend) -> None:
    def a_short_authorization(now: datetime) -> Change:
        placing = a_placing(now)
        return replace(placing, order=replace(placing.order, capture_before=now + 20 * HOUR))

    order = store_placing(world.store, a_short_authorization)
    world.clock.travel(7 * HOUR - MINUTE)
    assert world.reminders.remind_due() == 0
    world.clock.travel(MINUTE)
    assert [world.reminders.remind_due() for _ in range(2)] == [1, 0]
    world.clock.travel(12 * HOUR)

    # It would have been reminded of its answer's timeout much later.
    assert world.reminders.remind_due() == 0
    assert world.order_timeouts.move_due() == 1
    assert feed(world) == [("order.expiring", str(order.id))]


def test_an_order_whose_payment_is_being_captured_has_no_reminder(world: OrderBackend) -> None:
    order = store_placing(world.store)
    store_change(world.store, order.id, lambda locked, now: Change(begin_capture(locked)))
    world.clock.travel(40 * HOUR)

    assert world.reminders.remind_due() == 0


def test_ten_workers_at_once_remind_once_of_each_of_three_hundred_orders(
    world: OrderBackend, order_database: Database
) -> None:
    orders = [store_placing(world.store) for _ in range(300)]
    world.clock.travel(36 * HOUR)

    with ThreadPoolExecutor(10) as pool:
        work = closing(order_database, lambda: a_worker(world.store).remind_due())
        reminded = [each.result(30) for each in [pool.submit(work) for _ in range(10)]]
    # Orders that one worker had locked were skipped by the others, so a last round reminds of the rest.
    total = sum(reminded) + a_worker(world.store).remind_due()

    assert total == 300
    assert sorted(feed(world)) == sorted(("order.expiring", str(order.id)) for order in orders)


def test_a_locked_order_is_reminded_of_in_the_next_round(world: OrderBackend, order_database: Database) -> None:
    order = store_placing(world.store)
    world.clock.travel(36 * HOUR)

    with ThreadPoolExecutor(1) as pool, order_database.transaction():
        order_database.fetch_all(Statement("SELECT id FROM orders WHERE id = $1 FOR UPDATE"), order.id)
        assert pool.submit(closing(order_database, world.reminders.remind_due)).result(30) == 0

    assert world.reminders.remind_due() == 1


def test_an_order_that_somebody_answers_meanwhile_is_not_reminded_of(
    world: OrderBackend, order_database: Database
) -> None:
    order = world.placed()
    world.clock.travel(36 * HOUR)

    with ThreadPoolExecutor(1) as pool, order_database.transaction():
        world.act("decline", order, SELLER)
        assert pool.submit(closing(order_database, world.reminders.remind_due)).result(30) == 0

    assert world.reminders.remind_due() == 0


POISON = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poisoned'; END $$;
    CREATE TRIGGER poison BEFORE INSERT ON events
        FOR EACH ROW WHEN (NEW.order_id = '{order}' AND NEW.type = 'order.expiring') EXECUTE FUNCTION refuse()
"""


def test_an_order_that_cannot_be_reminded_of_is_put_off_and_holds_up_no_other(
    world: OrderBackend, order_database: Database
) -> None:
    refused, following = world.placed(), world.placed()
    order_database.execute(POISON.format(order=refused))
    failed = sample("marketplace_order_reminders_failed_total")
    reminded = sample("marketplace_order_reminders_total", reminder="expiring")
    world.clock.travel(36 * HOUR)

    with capture_logs() as logs:
        counts = [world.reminders.remind_due() for _ in range(3)]

    assert counts == [1, 0, 0]
    assert [(entry["event"], entry["order"]) for entry in logs if entry["log_level"] == "error"] == [
        ("order could not be reminded of", refused)
    ]
    assert [(str(each.order_id), each.tries) for each in world.store.put_off_orders.open()] == [(refused, 1)]
    assert sample("marketplace_order_reminders_failed_total") == failed + 1
    order_database.execute("DROP TRIGGER poison ON events")
    world.clock.travel(FIRST_DELAY)
    assert world.reminders.remind_due() == 1
    assert feed(world) == [("order.expiring", following), ("order.expiring", refused)]
    assert sample("marketplace_order_reminders_total", reminder="expiring") == reminded + 2
    world.order_timeouts.move_due()
    assert list(world.store.put_off_orders.open()) == []
    assert stored(world, refused).version == 2


def test_an_order_that_was_put_off_by_its_reminder_still_expires(world: OrderBackend, order_database: Database) -> None:
    order = world.placed()
    order_database.execute(POISON.format(order=order))
    world.clock.travel(36 * HOUR)
    world.reminders.remind_due()

    world.clock.travel(12 * HOUR)

    assert world.reminders.remind_due() == 0
    assert world.order_timeouts.move_due() == 1
    assert world.status(order) == "CANCELLED"


def test_an_order_of_an_earlier_version_in_the_feed_can_be_read(world: OrderBackend) -> None:
    order = store_placing(world.store)
    snapshot = ORDER.dump_python(order, mode="json")
    del snapshot["reminded_of"]

    assert ORDER.validate_python(snapshot) == order


@pytest.mark.parametrize("status", ["PENDING", "IN_PROGRESS", "DELIVERED"])
def test_a_worker_of_an_older_version_changes_an_order_that_has_had_a_reminder(
    world: OrderBackend, order_database: Database, status: str
) -> None:
    # Such a worker writes every column but the new one.
    order = world.delivered()
    order_database.execute(
        "UPDATE orders SET reminded_of = created_at, status = %s, due_at = app_now() + interval '1 hour', "
        "last_delivered_at = app_now() - interval '71 hours'",
        (status,),
    )

    reminded = world.reminders.remind_due()

    assert reminded == (0 if Status(status) is Status.PENDING else 1)
    assert len(feed(world)) == reminded
    assert stored(world, order).status is Status(status)
    assert world.reminders.remind_due() == 0
