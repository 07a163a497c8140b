"""OrderService's RPCs in their pipeline, with a real PostgreSQL and a stand-in of GigService over real gRPC."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.json_format import MessageToDict

from marketplace.order.v1 import order_pb2
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.identity import service_token, token, user_id
from tests.support.orders import TIMEOUTS
from tests.support.orderservice import ADMIN, BUYER, GIG, PACKAGE, SELLER, STRANGER, OrderBackend
from tests.support.rpc import Answer
from tests.support.standins import GigStandIn, serving

TOKENS = {"buyer": BUYER, "seller": SELLER, "admin": ADMIN, "stranger": STRANGER}


def test_a_placed_order_is_answered_as_the_seed_shows(world: OrderBackend) -> None:
    answer = world.place()

    placed = answer.response
    now = world.clock.now()
    assert (placed.gig_id, placed.gig_title, placed.package) == (
        GIG,
        "Professional Website Development",
        "Basic Website",
    )
    assert (placed.price, placed.status) == (500, order_pb2.Order.PENDING)
    assert UUID(placed.order_id).version == 7
    assert timedelta(0) <= now + timedelta(days=14) - placed.due_date.ToDatetime(now.tzinfo) < timedelta(seconds=10)
    assert placed.due_date.nanos == 0
    assert answer.headers["location"] == f"/api/orders/{placed.order_id}"


def test_an_order_shows_all_of_its_terms(world: OrderBackend) -> None:
    world.offer_package(price=19.99)
    placed = world.place().response

    order = world.get(placed.order_id, BUYER).response.order

    assert (order.order_id, order.gig_id, order.package_id) == (placed.order_id, GIG, PACKAGE)
    assert (order.gig_title, order.package) == ("Professional Website Development", "Basic Website")
    assert (order.price, order.currency, order.requirements) == (19.99, "USD", "Need dark theme")
    assert (order.buyer_id, order.seller_id) == (str(user_id("happy_buyer")), str(user_id("webdev_pro")))
    assert (order.status, order.revisions_left, order.due_date) == (order_pb2.Order.PENDING, 1, placed.due_date)
    assert order.created_at == order.updated_at
    assert order.created_at.nanos == 0


def test_later_edits_of_the_gig_do_not_change_an_order(world: OrderBackend) -> None:
    order_id = world.placed()

    world.offer_package(price=1000, gig_title="Dearer", delivery_days=1, revisions=0)

    order = world.get(order_id, BUYER).response.order
    assert (order.price, order.gig_title, order.revisions_left) == (500, "Professional Website Development", 1)


def test_a_package_that_cannot_be_bought_is_not_found(world: OrderBackend) -> None:
    answer = world.place(package_id=str(new_id()))

    assert (answer.http_status, answer.body) == (404, {"error": "Package not found", "code": "NOT_FOUND"})


def test_nobody_orders_their_own_gig(world: OrderBackend) -> None:
    answer = world.place(token("webdev_pro", "seller", "buyer"))

    assert answer.body == {"error": "You can't order your own gig", "code": "FORBIDDEN"}


@pytest.mark.parametrize(("sent_token", "error"), [(None, "UNAUTHORIZED"), (SELLER, "FORBIDDEN"), (ADMIN, "FORBIDDEN")])
def test_only_buyers_place_orders(world: OrderBackend, sent_token: str, error: str) -> None:
    assert world.place(sent_token).error == error


def test_every_field_of_a_bad_order_is_named(world: OrderBackend) -> None:
    answer = world.place(package_id="nonsense", requirements="x" * 5001, payment_method="cash")

    assert answer.http_status == 400
    assert {detail["field"] for detail in answer.body["details"]} == {"packageId", "requirements", "paymentMethod"}


def test_the_sandbox_pays_where_the_deployment_runs_on_it(world: OrderBackend) -> None:
    assert world.place(payment_method="sandbox").error == ""


def test_without_gig_service_placing_is_unavailable_and_stores_nothing(
    order_database: Database, sandbox_database: Database
) -> None:
    gigs = GigStandIn()
    with serving(gigs) as address:
        world = OrderBackend(order_database, sandbox_database, gigs, address)

    answer = world.place()

    assert (answer.http_status, answer.headers["retry-after"]) == (503, "1")
    assert world.listed(BUYER) == []


@pytest.mark.parametrize("party", ["buyer", "seller", "admin"])
def test_an_order_is_shown_to_its_parties_and_admins(world: OrderBackend, party: str) -> None:
    order_id = world.placed()

    assert world.get(order_id.upper(), TOKENS[party]).response.order.order_id == order_id


def test_a_stranger_gets_not_found_for_every_call_on_an_order(world: OrderBackend) -> None:
    order_id = world.placed()
    unknown = str(new_id())
    not_found = {"error": "Order not found", "code": "NOT_FOUND"}

    assert world.get(order_id, STRANGER).body == world.get(unknown, BUYER).body == not_found
    assert world.get("nonsense", BUYER).body == not_found
    assert world.events(order_id, STRANGER).body == world.events(unknown, BUYER).body == not_found
    assert world.events("nonsense", BUYER).body == not_found
    for action in ("accept", "decline", "cancel", "deliver", "revise", "complete"):
        assert world.act(action, order_id, STRANGER, "Hello").body == not_found
        assert world.act(action, unknown, BUYER, "Hello").body == not_found


def test_nobody_sees_an_order_without_a_token(world: OrderBackend) -> None:
    assert world.get(world.placed(), None).error == "UNAUTHORIZED"
    assert world.events(world.placed(), None).error == "UNAUTHORIZED"


def test_each_status_of_an_order_opens_its_actions_to_each_party(world: OrderBackend) -> None:
    order_id = world.placed()
    assert world.actions(order_id, BUYER) == ["cancel"]
    assert world.actions(order_id, SELLER) == ["accept", "decline"]
    assert world.actions(order_id, ADMIN) == ["resolve"]

    accepted = world.act("accept", order_id, SELLER).response.order
    assert accepted.status == order_pb2.Order.IN_PROGRESS
    assert list(accepted.actions) == ["deliver", "cancel", "extend"]
    assert world.actions(order_id, BUYER) == []

    delivered = world.act("deliver", order_id, SELLER, "Here it is").response.order
    assert (delivered.status, list(delivered.actions)) == (order_pb2.Order.DELIVERED, [])
    assert world.actions(order_id, BUYER) == ["revise", "complete", "dispute"]

    revised = world.act("revise", order_id, BUYER, "Bluer, please").response.order
    assert (revised.status, revised.revisions_left) == (order_pb2.Order.IN_PROGRESS, 0)
    assert list(revised.actions) == []

    world.act("deliver", order_id, SELLER)
    assert world.actions(order_id, BUYER) == ["complete", "dispute"]

    completed = world.act("complete", order_id, BUYER).response.order
    assert (completed.status, list(completed.actions)) == (order_pb2.Order.COMPLETED, [])


def test_a_seller_can_decline_and_a_buyer_can_cancel_a_pending_order(world: OrderBackend) -> None:
    assert world.act("decline", world.placed(), SELLER, "Busy").response.order.status == order_pb2.Order.CANCELLED
    assert world.act("cancel", world.placed(), BUYER).response.order.status == order_pb2.Order.CANCELLED


def test_an_action_of_another_party_is_forbidden(world: OrderBackend) -> None:
    order_id = world.placed()

    assert world.act("accept", order_id, BUYER).body == {
        "error": "You don't have permission to accept this order",
        "code": "FORBIDDEN",
    }
    assert world.act("cancel", order_id, SELLER).error == "FORBIDDEN"
    assert world.act("accept", order_id, ADMIN).error == "FORBIDDEN"
    assert world.act("complete", order_id, ADMIN).error == "FORBIDDEN"


def test_an_action_in_the_wrong_status_is_refused_with_the_open_actions(world: OrderBackend) -> None:
    order_id = world.placed()

    answer = world.act("deliver", order_id, SELLER)

    assert (answer.http_status, answer.body["code"]) == (409, "INVALID_TRANSITION")
    assert "accept, decline" in answer.body["error"]


def test_a_revision_without_a_valid_message_is_refused(world: OrderBackend) -> None:
    order_id = world.delivered()

    for message in ("", " \n", "x" * 5001):
        answer = world.act("revise", order_id, BUYER, message)
        assert [detail["field"] for detail in answer.body["details"]] == ["message"]


def test_a_revision_is_refused_when_none_are_left(world: OrderBackend) -> None:
    world.offer_package(revisions=0)
    order_id = world.delivered()

    answer = world.act("revise", order_id, BUYER, "Bluer, please")

    assert answer.error == "INVALID_TRANSITION"
    assert "what you can do now: complete, dispute" in answer.body["error"]


def test_a_revision_is_due_in_the_packages_delivery_days(world: OrderBackend) -> None:
    order_id = world.delivered()
    world.clock.travel(timedelta(days=2))

    revised = world.act("revise", order_id, BUYER, "Bluer, please").response.order

    assert revised.due_date.seconds - revised.updated_at.seconds in (14 * 86400, 14 * 86400 + 1)


def test_a_buyer_may_cancel_an_order_in_progress_only_when_it_is_overdue(world: OrderBackend) -> None:
    order_id = world.placed()
    world.act("accept", order_id, SELLER)
    assert world.act("cancel", order_id, BUYER).error == "INVALID_TRANSITION"

    world.clock.travel(timedelta(days=14, seconds=1))

    assert world.actions(order_id, BUYER) == ["cancel"]
    assert world.act("cancel", order_id, BUYER).response.order.status == order_pb2.Order.CANCELLED


def events_json(answer: Answer) -> list[dict[str, Any]]:
    """Return the events as JSON, without their times."""
    events = MessageToDict(answer.response, always_print_fields_with_no_presence=True)["events"]
    return [{key: value for key, value in event.items() if key != "at"} for event in events]


@pytest.mark.parametrize("party", ["buyer", "seller", "admin"])
def test_the_history_of_an_order_is_shown_to_its_parties_and_admins_oldest_first(
    world: OrderBackend, party: str
) -> None:
    order_id = world.placed()
    world.act("accept", order_id, SELLER, "On it")
    world.act("deliver", order_id, SELLER)

    answer = world.events(order_id, TOKENS[party])

    assert events_json(answer) == [
        {"by": "buyer", "action": "place", "to": "PENDING", "message": "", "files": []},
        {"by": "seller", "action": "accept", "from": "PENDING", "to": "IN_PROGRESS", "message": "On it", "files": []},
        {"by": "seller", "action": "deliver", "from": "IN_PROGRESS", "to": "DELIVERED", "message": "", "files": []},
    ]
    order = world.get(order_id, BUYER).response.order
    times = [event.at.seconds for event in answer.response.events]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (order.created_at.seconds, order.updated_at.seconds)


def test_a_timeout_is_in_the_history_as_the_systems_action(world: OrderBackend) -> None:
    order_id = world.placed()
    world.clock.travel(TIMEOUTS.answer)

    world.order_timeouts.move_due()

    expired = {
        "by": "system", "action": "expire", "from": "PENDING", "to": "CANCELLED", "message": "", "files": [],
    }  # fmt: skip
    assert events_json(world.events(order_id, BUYER))[1:] == [expired]


def test_an_unanswered_order_whose_time_is_over_is_closed_before_a_worker_expires_it(world: OrderBackend) -> None:
    order_id = world.placed()
    world.clock.travel(TIMEOUTS.answer)

    for action, side in (("accept", SELLER), ("decline", SELLER), ("cancel", BUYER)):
        answer = world.act(action, order_id, side)
        assert (answer.http_status, answer.error) == (409, "INVALID_TRANSITION")
        assert "its time is over; there is nothing you can do now" in answer.body["error"]
    assert world.actions(order_id, BUYER) == world.actions(order_id, SELLER) == []
    assert world.act("accept", order_id, BUYER).error == "FORBIDDEN"

    world.order_timeouts.move_due()

    assert world.get(order_id, BUYER).response.order.status == order_pb2.Order.CANCELLED


def test_a_delivered_order_whose_time_is_over_is_closed_before_a_worker_completes_it(world: OrderBackend) -> None:
    order_id = world.delivered()
    world.clock.travel(TIMEOUTS.approval)

    assert world.act("revise", order_id, BUYER, "Bluer").error == "INVALID_TRANSITION"
    assert world.act("complete", order_id, BUYER).error == "INVALID_TRANSITION"
    assert world.actions(order_id, BUYER) == []

    world.order_timeouts.move_due()

    assert world.get(order_id, BUYER).response.order.status == order_pb2.Order.COMPLETED


def test_a_list_shows_ones_orders_newest_first(world: OrderBackend) -> None:
    first, second = world.placed(), world.placed()
    foreign = world.placed(token("other", "buyer"))

    assert world.listed(BUYER) == [second, first]
    assert world.listed(BUYER, role="seller") == []
    assert world.listed(SELLER) == world.listed(SELLER, role="seller") == [foreign, second, first]
    assert world.listed(ADMIN) == []
    assert world.listed(ADMIN, role="admin") == [foreign, second, first]


def test_a_list_can_be_filtered_by_status(world: OrderBackend) -> None:
    first, second = world.placed(), world.placed()
    world.act("decline", first, SELLER)

    assert world.listed(BUYER, status=order_pb2.Order.CANCELLED) == [first]
    assert world.listed(BUYER, status=order_pb2.Order.PENDING) == [second]
    assert world.listed(BUYER, status=order_pb2.Order.DISPUTED) == []


def test_an_order_in_a_list_is_the_whole_order(world: OrderBackend) -> None:
    order_id = world.placed()

    (listed,) = world.page(SELLER).response.results

    assert listed == world.get(order_id, SELLER).response.order
    assert list(listed.actions) == ["accept", "decline"]


def test_everyones_orders_are_for_admins(world: OrderBackend) -> None:
    assert world.page(SELLER, role="admin").error == "FORBIDDEN"


def test_each_page_continues_where_the_last_one_ended(world: OrderBackend) -> None:
    placed = [world.placed() for _ in range(5)]
    seen: list[str] = []
    page_token = ""

    for size in (2, 2, 1):
        page = world.page(BUYER, page_size=2, page_token=page_token).response
        assert len(page.results) == size
        seen += [order.order_id for order in page.results]
        page_token = page.next_page_token

    assert seen == placed[::-1]
    assert not page.HasField("next_page_token")


def test_a_page_token_goes_with_its_filters(world: OrderBackend) -> None:
    for _ in range(2):
        world.placed()
    page_token = world.page(BUYER, page_size=1).response.next_page_token

    for answer in (
        world.page(BUYER, page_size=1, page_token=page_token, role="buyer"),
        world.page(BUYER, page_size=1, page_token=page_token, status=order_pb2.Order.PENDING),
        world.page(BUYER, page_token="nonsense"),
    ):
        assert [detail["field"] for detail in answer.body["details"]] == ["pageToken"]


@pytest.mark.parametrize("filters", [{"role": "boss"}, {"page_size": 101}, {"page_size": -1}, {"status": 99}])
def test_invalid_filters_are_refused(world: OrderBackend, filters: dict[str, Any]) -> None:
    assert world.page(BUYER, **filters).error == "INVALID_ARGUMENT"


def test_other_services_can_describe_an_order(world: OrderBackend) -> None:
    order_id = world.delivered()
    request = order_pb2.DescribeOrderRequest(order_id=order_id)

    described = world.rpc.call("DescribeOrder", request, service_token()).response

    assert (described.order_id, described.gig_id, described.status) == (order_id, GIG, order_pb2.Order.DELIVERED)
    assert (described.buyer_id, described.seller_id) == (str(user_id("happy_buyer")), str(user_id("webdev_pro")))
    assert world.rpc.call("DescribeOrder", request, ADMIN).error == "FORBIDDEN"
    unknown = order_pb2.DescribeOrderRequest(order_id=str(new_id()))
    assert world.rpc.call("DescribeOrder", unknown, service_token()).message == "Order not found"


def test_an_order_of_one_day_that_is_accepted_after_thirty_hours_is_not_overdue(world: OrderBackend) -> None:
    world.offer_package(delivery_days=1)
    order_id = world.placed()
    world.travel(timedelta(hours=30))

    accepted = world.act("accept", order_id, SELLER).response.order

    assert "cancel" not in world.actions(order_id, BUYER)
    assert accepted.due_date.ToDatetime() - accepted.updated_at.ToDatetime() == timedelta(days=1)
