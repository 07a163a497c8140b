"""The erasure of a buyer and of a seller in OrderService: what stands against it, and what others keep."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import peewee
import psycopg2
import pytest

from marketplace.gig.v1 import gig_pb2
from order_service.files.storage import FILES
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.erasure import SandboxErasure
from order_service.personal_data import OrderUserData
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from servicekit.personal_data import ERASED
from servicekit.progress import Progress
from servicekit.storage.folder import FolderStorage
from tests.support import sellers
from tests.support.identity import user_id
from tests.support.orderservice import BUYER, SELLER, OrderBackend

LEFT = Statement("""
    SELECT 'order_lines' AS place FROM order_lines WHERE title LIKE $1
    UNION ALL SELECT 'events' FROM events WHERE subject::text LIKE $1
    UNION ALL SELECT 'idempotency_keys' FROM idempotency_keys WHERE encode(answer, 'escape') LIKE $1
""")
BUYER_ID, SELLER_ID = user_id("happy_buyer"), user_id("webdev_pro")


@pytest.fixture
def data(world: OrderBackend, sandbox_database: Database, tmp_path: Path) -> OrderUserData:
    return OrderUserData(world.database, FolderStorage(tmp_path, FILES), SandboxErasure(sandbox_database))


def erase(data: OrderUserData, user: UUID) -> dict[str, int]:
    """Erase a user. Return what was done."""
    return {name: rows for name, rows in data.erase(user, [], Progress()) if rows}


def a_refund_that_waits(world: OrderBackend) -> None:
    """Cancel an order whose card takes no refund yet."""
    world.act("cancel", world.accepted(scenarios.REFUND_WAITS), SELLER)
    world.settle()


def a_chargeback(world: OrderBackend) -> None:
    """Complete an order whose bank takes all of it back later."""
    sellers.completed(world, card=scenarios.CHARGEBACK_LATE)
    world.settle()


def a_payout_that_waits(world: OrderBackend) -> None:
    """Ask for a payout that the provider has not made."""
    sellers.completed(world)
    sellers.set_account(world, scenarios.PAYOUT_WAITS)
    sellers.pay_out(world)


BOTH = (BUYER_ID, SELLER_ID)
OBSTACLES: dict[str, tuple[Callable[[OrderBackend], object], tuple[UUID, ...], str]] = {
    "an open order": (lambda world: world.placed(), BOTH, "is PENDING: it has to be COMPLETED or CANCELLED"),
    "an unfinished payment": (
        lambda world: world.place(payment_token=scenarios.CONFIRM_NEVER, key="k"), BOTH, "an unfinished authorize"
    ),
    "a refund": (a_refund_that_waits, (BUYER_ID,), "the refund of order"),
    "a chargeback": (a_chargeback, BOTH, "is NEEDS_RESPONSE: the bank has not decided"),
    "a payout": (a_payout_that_waits, (SELLER_ID,), "is PENDING: the seller has not got it yet"),
    "a balance": (sellers.completed, (SELLER_ID,), "450.00 in available: it has to be paid out"),
    "a hold": (sellers.hold, (SELLER_ID,), "(A look): an admin has to release the hold"),
}  # fmt: skip


@pytest.mark.parametrize("case", OBSTACLES)
def test_what_is_under_way_or_owed_stands_against_an_erasure(
    world: OrderBackend, data: OrderUserData, case: str
) -> None:
    bring, concerned, expected = OBSTACLES[case]
    bring(world)

    for user in BOTH:
        lines = [line for line in data.obstacles(user) if expected in line]
        assert bool(lines) == (user in concerned), data.obstacles(user)
    assert data.obstacles(user_id("somebody else")) == []


def settled(world: OrderBackend, **changes: Any) -> str:
    """Complete an order, and have the seller's money paid out. Return the order's id."""
    world.place(key="completed", requirements="Call me on 555-0100", **changes)
    order: str = world.place(key="completed", requirements="Call me on 555-0100", **changes).response.order_id
    for action, who, message in (
        ("accept", SELLER, "I am Ann"), ("deliver", SELLER, "Here"), ("complete", BUYER, "I am Bob")
    ):  # fmt: skip
        world.act(action, order, who, message)
    sellers.set_account(world, "acct_of_ann")
    sellers.adjust(world, 5, message="Ann, this is yours", idempotency_key="adjust")
    sellers.pay_out(world)
    world.settle()
    return order


def test_an_erased_seller_leaves_the_buyer_the_order_and_the_books_as_they_were(
    world: OrderBackend, data: OrderUserData
) -> None:
    order = settled(world)
    balance, entries = world.balance(), sellers.entry_amounts(world)
    assert data.obstacles(SELLER_ID) == []

    done = erase(data, SELLER_ID)

    shown = world.get(order, BUYER).response.order
    assert (shown.gig_title, shown.package, shown.price) == (ERASED, ERASED, 500)
    assert shown.requirements == "Call me on 555-0100"
    messages = {event.action: event.message for event in world.events(order, BUYER).response.events}
    assert messages == {"place": "", "accept": "", "deliver": "", "complete": "I am Bob"}
    assert (world.balance(), sellers.entry_amounts(world)) == (balance, entries)
    assert done["responses_to_others"] == 2
    repeated = world.place(key="completed", requirements="Call me on 555-0100").response
    assert (repeated.order_id, repeated.gig_title, repeated.price) == (order, ERASED, 500)
    assert erase(data, SELLER_ID) == {}


def test_the_titles_of_an_erased_seller_go_from_lines_events_and_stored_responses(
    world: OrderBackend, data: OrderUserData
) -> None:
    extra = gig_pb2.Extra(id=str(new_id()), title="Ann herself at your door", price=20.01)
    world.offer_package(extras=[extra])
    order = settled(world, extra_ids=[extra.id], quantity=2)
    before = world.refund(order, 1, "platform", key="refund").response.order
    assert [line.title for line in before.lines] == ["Basic Website", "Ann herself at your door"]
    world.settle()
    archives = [dict(data.archive(user, [], Path()))["lines_of_orders"] for user in BOTH]
    assert '"title": "Ann herself at your door"' in archives[0][1]
    assert archives[0] == archives[1]

    erase(data, SELLER_ID)

    for answer in (world.get(order, BUYER), world.refund(order, 1, "platform", key="refund")):
        assert [(line.title, line.unit_price, line.quantity) for line in answer.response.order.lines] == [
            (ERASED, 500, 2), (ERASED, 20.01, 1)
        ]  # fmt: skip
    assert world.database.fetch_all(LEFT, "%Ann herself%") == []
    assert erase(data, SELLER_ID) == {}


def test_an_erased_buyer_leaves_the_seller_the_order(world: OrderBackend, data: OrderUserData) -> None:
    order = settled(world)

    erase(data, BUYER_ID)

    shown = world.get(order, SELLER).response.order
    assert (shown.requirements, shown.gig_title, shown.buyer_id) == (
        "", "Professional Website Development", str(BUYER_ID)
    )  # fmt: skip
    messages = {event.action: event.message for event in world.events(order, SELLER).response.events}
    assert messages == {"place": "", "accept": "I am Ann", "deliver": "Here", "complete": ""}
    assert erase(data, BUYER_ID) == {}


def test_a_scenario_of_the_sandbox_stays_so_that_the_payment_goes_on_as_it_asks_for(
    world: OrderBackend, data: OrderUserData
) -> None:
    world.act("decline", world.placed(card=scenarios.REFUND_FAILS), SELLER)
    world.act("decline", world.placed(card="card_of_bob"), SELLER)
    world.settle()

    assert erase(data, BUYER_ID)["cards_in_the_sandbox"] == 1


def test_an_archive_has_both_sides_of_an_order(world: OrderBackend, data: OrderUserData, tmp_path: Path) -> None:
    settled(world)

    sellers_archive, buyers_archive = (dict(data.archive(user, [], tmp_path)) for user in (SELLER_ID, BUYER_ID))

    assert "Call me on 555-0100" in sellers_archive["orders_sold"][0]
    assert "acct_of_ann" in sellers_archive["payout_account"][0]
    assert "Ann, this is yours" in sellers_archive["messages_of_adjustments"][0]
    assert len(sellers_archive["entries_of_the_balance"]) > 3
    assert "Call me on 555-0100" in buyers_archive["orders_bought"][0]
    assert "acct_of_ann" not in str(buyers_archive)
    assert "commission_percent" not in str(buyers_archive)


def test_of_the_ledger_a_message_alone_can_be_erased_and_nothing_else_changed(
    world: OrderBackend, data: OrderUserData
) -> None:
    settled(world)

    for change in ("message = 'another text'", "message = '[erased]', at = at - interval '1 day'", "order_id = NULL"):
        statement = Statement(f"UPDATE ledger_transactions SET {change}")
        with pytest.raises((peewee.IntegrityError, psycopg2.IntegrityError), match="append-only"):
            world.database.fetch_all(statement)
    erase(data, SELLER_ID)


def test_an_order_that_was_erased_can_still_be_refunded(world: OrderBackend, data: OrderUserData) -> None:
    order = settled(world)
    erase(data, BUYER_ID)
    erase(data, SELLER_ID)

    assert world.refund(order, 10, "platform").error == ""
    world.travel(timedelta(minutes=1))
    world.settle()

    assert world.payment(order) == ("PARTIALLY_REFUNDED", 10.0)
    assert erase(data, BUYER_ID) == {}
