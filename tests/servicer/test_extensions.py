"""More time for orders, through the pipeline: requests, answers, and what the parties see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from marketplace.order.v1 import order_pb2
from order_service.domain.lifecycle import Action, Command, move, record_chargeback
from order_service.domain.order import Change, Order, Party
from servicekit.database import Statement
from tests.support.at_once import at_once
from tests.support.orders import TIMEOUTS, store_change
from tests.support.orderservice import ADMIN, BUYER, SELLER, STRANGER, OrderBackend

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TYPES = Statement("SELECT type, subject FROM events WHERE order_id = $1 ORDER BY sequence")


def order_of(world: OrderBackend, order_id: str, viewer: str = BUYER) -> order_pb2.Order:
    order: order_pb2.Order = world.get(order_id, viewer).response.order
    return order


def feed(world: OrderBackend, order_id: str) -> list[tuple[str, Any]]:
    """Return the type of each event of the order, and the days of the request that it shows."""
    rows = world.database.fetch_all(TYPES, UUID(order_id))
    return [(row["type"], row["subject"]["extension_days"]) for row in rows]


def test_a_request_for_more_time_is_shown_to_all_parties_until_it_is_answered(world: OrderBackend) -> None:
    order_id = world.accepted()
    due = order_of(world, order_id).due_date.seconds

    asked = world.extend(order_id, 5, "The host is down").response.order

    extension = asked.extension
    assert (extension.days, extension.message) == (5, "The host is down")
    assert extension.at == asked.updated_at
    for viewer in (BUYER, SELLER, ADMIN):
        assert order_of(world, order_id, viewer).extension == extension
    assert (asked.due_date.seconds, list(asked.actions)) == (due, ["deliver", "cancel"])
    assert world.actions(order_id, BUYER) == ["accept_extension", "decline_extension"]

    accepted = world.answer_extension("accept", order_id, message="Fine").response.order

    assert not accepted.HasField("extension")
    assert accepted.due_date.seconds == due + 5 * 86400
    assert world.actions(order_id, SELLER) == ["deliver", "cancel", "extend"]
    assert world.history(order_id)[-2:] == [("seller", "extend"), ("buyer", "accept_extension")]
    assert [event.message for event in world.events(order_id, BUYER).response.events][-2:] == [
        "The host is down",
        "Fine",
    ]


def test_a_declined_request_leaves_the_due_date_and_stands_in_the_history(world: OrderBackend) -> None:
    order_id = world.accepted()
    due = order_of(world, order_id).due_date
    world.extend(order_id)

    declined = world.answer_extension("decline", order_id, message="No").response.order

    assert (declined.due_date, declined.HasField("extension")) == (due, False)
    assert world.history(order_id)[-2:] == [("seller", "extend"), ("buyer", "decline_extension")]
    assert world.extend(order_id).error == ""


def test_a_second_request_and_an_answer_to_none_are_refused(world: OrderBackend) -> None:
    order_id = world.accepted()

    for answer in ("accept", "decline"):
        refused = world.answer_extension(answer, order_id)
        assert (refused.http_status, refused.error) == (409, "INVALID_TRANSITION")
        assert "no request for more time is open" in refused.body["error"]
    world.extend(order_id)
    second = world.extend(order_id)

    assert (second.http_status, second.error) == (409, "INVALID_TRANSITION")
    assert "the buyer has not answered" in second.body["error"]
    world.answer_extension("accept", order_id)
    assert world.answer_extension("accept", order_id).error == "INVALID_TRANSITION"


def test_more_time_is_only_for_orders_in_progress(world: OrderBackend) -> None:
    for order_id in (world.placed(), world.delivered()):
        assert world.extend(order_id).error == "INVALID_TRANSITION"
        assert world.answer_extension("accept", order_id).error == "INVALID_TRANSITION"


def test_the_wrong_person_is_forbidden_and_a_stranger_finds_nothing(world: OrderBackend) -> None:
    order_id = world.accepted()
    assert world.extend(order_id, sent_token=BUYER).body == {
        "error": "You don't have permission to extend this order",
        "code": "FORBIDDEN",
    }
    assert world.extend(order_id, sent_token=ADMIN).error == "FORBIDDEN"
    assert world.extend(order_id, sent_token=STRANGER).error == "NOT_FOUND"
    world.extend(order_id)

    for answer in ("accept", "decline"):
        assert world.answer_extension(answer, order_id, SELLER).error == "FORBIDDEN"
        assert world.answer_extension(answer, order_id, ADMIN).error == "FORBIDDEN"
        assert world.answer_extension(answer, order_id, STRANGER).error == "NOT_FOUND"


@pytest.mark.parametrize("days", [0, -1, 91])
def test_a_request_has_1_to_90_days(world: OrderBackend, days: int) -> None:
    answer = world.extend(world.accepted(), days)

    assert [detail["field"] for detail in answer.body["details"]] == ["days"]


def test_a_message_has_5000_characters_at_most(world: OrderBackend) -> None:
    order_id = world.accepted()

    too_long = world.extend(order_id, message="x" * 5001)

    assert [detail["field"] for detail in too_long.body["details"]] == ["message"]
    assert world.extend(order_id, 90, message="x" * 5000).error == ""


def test_an_order_gets_365_more_days_at_most(world: OrderBackend) -> None:
    order_id = world.accepted()
    for _ in range(4):
        world.extend(order_id, 90)
        world.answer_extension("accept", order_id)

    refused = world.extend(order_id, 6)

    assert (refused.http_status, refused.error) == (409, "INVALID_TRANSITION")
    assert "it can be extended by 5 more days at most" in refused.body["error"]
    world.extend(order_id, 5)
    world.answer_extension("accept", order_id)
    assert "extend" not in world.actions(order_id, SELLER)
    assert world.extend(order_id, 1).error == "INVALID_TRANSITION"


def test_nobody_asks_for_more_time_after_500_changes_of_an_order(world: OrderBackend) -> None:
    order_id = world.accepted()
    world.database.execute("UPDATE orders SET version = 499 WHERE id = %s", (order_id,))
    assert world.extend(order_id).error == ""
    assert world.answer_extension("decline", order_id).error == ""

    refused = world.extend(order_id)

    assert (refused.http_status, refused.error) == (409, "INVALID_TRANSITION")
    assert "it has had 500 changes, the most before a request for more time" in refused.body["error"]
    assert world.actions(order_id, SELLER) == ["deliver", "cancel"]


def test_more_time_may_be_asked_for_while_overdue_and_takes_no_right_from_the_buyer(world: OrderBackend) -> None:
    order_id = world.accepted()
    due = order_of(world, order_id).due_date.seconds
    world.clock.travel(15 * DAY)

    world.extend(order_id, 3)

    assert world.actions(order_id, BUYER) == ["cancel", "accept_extension", "decline_extension"]
    world.answer_extension("accept", order_id)
    assert order_of(world, order_id).due_date.seconds == due + 3 * 86400
    assert world.actions(order_id, BUYER) == []
    world.clock.travel(2 * DAY + HOUR)
    assert world.actions(order_id, BUYER) == ["cancel"]


def test_the_buyer_may_cancel_instead_of_answering(world: OrderBackend) -> None:
    order_id = world.accepted()
    world.clock.travel(15 * DAY)
    world.extend(order_id)

    cancelled = world.act("cancel", order_id, BUYER).response.order

    assert (cancelled.status, cancelled.HasField("extension")) == (order_pb2.Order.CANCELLED, False)


def test_an_order_is_abandoned_by_its_new_due_date(world: OrderBackend) -> None:
    order_id = world.accepted()
    world.extend(order_id, 5)
    world.answer_extension("accept", order_id)

    world.clock.travel(14 * DAY + 34 * DAY)
    assert world.order_timeouts.move_due() == 0
    world.extend(order_id, 90)
    world.clock.travel(DAY + HOUR)

    assert world.answer_extension("accept", order_id).error == "INVALID_TRANSITION"
    assert world.order_timeouts.move_due() == 1
    assert not order_of(world, order_id).HasField("extension")
    assert world.status(order_id) == "CANCELLED"


def test_a_delivery_closes_the_request_for_good(world: OrderBackend) -> None:
    order_id = world.accepted()
    world.extend(order_id)

    delivered = world.act("deliver", order_id, SELLER).response.order
    assert not delivered.HasField("extension")
    world.act("revise", order_id, BUYER, "Bluer")

    assert not order_of(world, order_id).HasField("extension")
    assert world.answer_extension("accept", order_id).error == "INVALID_TRANSITION"


def test_an_admin_and_a_bank_close_the_request(world: OrderBackend) -> None:
    resolved, charged_back = world.accepted(), world.accepted()
    for order_id in (resolved, charged_back):
        world.extend(order_id)

    world.resolve(resolved, "CANCELLED")
    store_change(world.store, UUID(charged_back), record_chargeback)

    for order_id in (resolved, charged_back):
        assert not order_of(world, order_id).HasField("extension")
        assert world.store.orders.get(UUID(order_id)).order.extension_message == ""


def test_the_feed_tells_of_the_request_and_of_the_answer(world: OrderBackend) -> None:
    order_id = world.accepted()
    for answer in ("decline", "accept"):
        world.extend(order_id, 5)
        world.answer_extension(answer, order_id)

    assert feed(world, order_id)[2:] == [
        ("order.extension_requested", 5),
        ("order.extension_answered", None),
        ("order.extension_requested", 5),
        ("order.extension_answered", None),
    ]


def test_each_due_date_that_more_time_makes_has_its_own_reminder(world: OrderBackend) -> None:
    order_id = world.accepted()
    world.clock.travel(13 * DAY + HOUR)
    assert [world.reminders.remind_due() for _ in range(2)] == [1, 0]

    world.extend(order_id, 5)
    assert world.reminders.remind_due() == 0
    world.answer_extension("accept", order_id)

    assert world.reminders.remind_due() == 0
    world.clock.travel(5 * DAY - 2 * HOUR)
    assert world.reminders.remind_due() == 0
    world.clock.travel(2 * HOUR)
    assert [world.reminders.remind_due() for _ in range(2)] == [1, 0]


def test_more_time_within_the_lead_is_reminded_of_at_once(world: OrderBackend) -> None:
    order_id = world.accepted()
    world.clock.travel(14 * DAY + 2 * HOUR)
    assert world.reminders.remind_due() == 0

    world.extend(order_id, 1)
    world.answer_extension("accept", order_id)

    assert [world.reminders.remind_due() for _ in range(2)] == [1, 0]


def test_of_two_answers_at_the_same_moment_one_wins(world: OrderBackend) -> None:
    order_id = world.accepted()
    world.extend(order_id)

    def answering(action: Action) -> Callable[[], object]:
        def decide(order: Order, now: datetime) -> Change:
            return move(order, Command(action), frozenset({Party.BUYER}), now=now, timeouts=TIMEOUTS)

        return lambda: store_change(world.store, UUID(order_id), decide)

    outcomes = at_once(
        [answering(action) for action in (Action.ACCEPT_EXTENSION, Action.DECLINE_EXTENSION)], world.database
    )

    assert sorted(outcomes) == ["INVALID_TRANSITION", "won"]
