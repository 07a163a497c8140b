"""Adjustments of sellers' balances, and an admin's look-ups of a seller's money."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from google.protobuf.json_format import MessageToDict

from marketplace.order.v1 import order_pb2
from order_service.reconciliation import check
from servicekit.ids import new_id
from tests.support.at_once import closing
from tests.support.identity import token, user_id
from tests.support.order_rows import ledger
from tests.support.orderservice import ADMIN, BUYER, SELLER, OrderBackend
from tests.support.rpc import Answer
from tests.support.sellers import SELLER_ID, adjust, completed, entry_amounts, pay_out


def look_up(world: OrderBackend, rpc: str, seller: str = SELLER_ID, sent_token: str = ADMIN, **page: object) -> Answer:
    request = getattr(order_pb2, f"{rpc}Request")(seller_id=seller, **page)
    return world.rpc.call(rpc, request, sent_token)


LOOK_UPS = {
    "GetSellerBalance": "GetBalance",
    "ListSellerBalanceEntries": "ListBalanceEntries",
    "ListSellerPayouts": "ListPayouts",
}


@pytest.mark.parametrize("amount", [12.34, -450, -0.01, 0.29, 1_000_000])
def test_an_adjustment_is_an_entry_with_its_message(world: OrderBackend, amount: float) -> None:
    completed(world)

    entry = adjust(world, amount, " For the outage\nin May ").response.entry

    assert MessageToDict(entry) == {
        "at": entry.at.ToJsonString(),
        "kind": "ADJUSTMENT",
        "amount": amount,
        "message": "For the outage\nin May",
    }
    assert entry_amounts(world)[0] == ("ADJUSTMENT", amount)
    shown = world.rpc.call("ListBalanceEntries", order_pb2.ListBalanceEntriesRequest(), SELLER).response.results
    assert shown[0] == entry
    assert not shown[1].HasField("message")
    assert world.balance() == (0, round(450 + amount, 2), 0)
    assert float(ledger(world)["adjustments"]) == -amount
    assert check(world.database, world.sandbox).differences == []


@pytest.mark.parametrize("change", ["amount = amount + 1", "seller_id = admin_id"])
def test_an_adjustment_that_the_ledger_does_not_have_is_a_difference(world: OrderBackend, change: str) -> None:
    completed(world)
    adjust(world, 5)

    world.database.execute(f"UPDATE adjustments SET {change}")

    [difference] = check(world.database, world.sandbox).differences
    assert "is not in the ledger, or with other entries" in difference


def test_an_adjustment_never_takes_more_than_is_available(world: OrderBackend) -> None:
    completed(world)

    answer = adjust(world, -450.01)

    assert (answer.http_status, answer.error) == (409, "INSUFFICIENT_BALANCE")
    assert entry_amounts(world) == [("COMMISSION", -50), ("SALE", 500)]
    assert adjust(world, -450).error == ""
    assert world.balance() == (0, 0, 0)


@pytest.mark.parametrize("amount", [0, -0.0, 1_000_000.01, -1_000_001, 0.001, -1.005, float("nan"), float("-inf")])
def test_an_invalid_amount_is_named(world: OrderBackend, amount: float) -> None:
    assert {each["field"] for each in adjust(world, amount).body["details"]} == {"amount"}


@pytest.mark.parametrize("message", ["", "\n", "x" * 5001])
def test_a_message_out_of_bounds_is_named(world: OrderBackend, message: str) -> None:
    assert [each["field"] for each in adjust(world, 1, message).body["details"]] == ["message"]


def test_a_seller_without_an_order_or_an_entry_is_not_found(world: OrderBackend) -> None:
    answer = adjust(world, 1)

    assert answer.body == {"error": "Seller not found", "code": "NOT_FOUND"}
    world.placed()
    assert adjust(world, 1).error == ""


def test_adjustments_are_for_other_admins(world: OrderBackend) -> None:
    completed(world)
    both = token("webdev_pro", "seller", "admin")

    assert adjust(world, 1, sent_token=SELLER).error == "FORBIDDEN"
    assert adjust(world, 1, sent_token=BUYER).error == "FORBIDDEN"
    assert adjust(world, 1, sent_token=both).error == "FORBIDDEN"
    assert entry_amounts(world) == [("COMMISSION", -50), ("SALE", 500)]


def test_the_same_key_is_one_adjustment(world: OrderBackend) -> None:
    completed(world)

    first = adjust(world, -400, idempotency_key="k")
    second = adjust(world, -400, idempotency_key="k")

    assert second.response == first.response
    assert world.balance() == (0, 50, 0)
    assert adjust(world, -4, idempotency_key="k").http_status == 422
    # A refusal binds nothing, and a key belongs to its path.
    assert adjust(world, -400, idempotency_key="l").error == "INSUFFICIENT_BALANCE"
    assert adjust(world, -40, idempotency_key="l").error == ""
    assert adjust(world, 1, seller=str(new_id()), idempotency_key="k").error == "NOT_FOUND"


def test_adjustments_payouts_and_sales_at_once_never_take_the_balance_below_zero(world: OrderBackend) -> None:
    completed(world)
    world.offer_package(price=10)
    sales = [world.delivered() for _ in range(5)]
    workers = [world.another_worker() for _ in range(15)]
    calls = [partial(adjust, worker, -100) for worker in workers[:5]]
    calls += [partial(pay_out, worker, 100) for worker in workers[5:10]]
    calls += [partial(worker.act, "complete", sale, BUYER) for worker, sale in zip(workers[10:], sales, strict=True)]

    with ThreadPoolExecutor(len(calls)) as pool:
        answers = [each.result(60) for each in [pool.submit(closing(world.database, call)) for call in calls]]

    taken = sum(answer.error == "" for answer in answers[:10])
    assert taken in (4, 5)
    assert {answer.error for answer in answers[:10]} == {"", "INSUFFICIENT_BALANCE"}
    assert [answer.error for answer in answers[10:]] == [""] * 5
    assert world.balance()[1] == 450 + 5 * 9 - 100 * taken
    assert sum(amount for _, amount in entry_amounts(world)) == world.balance()[1]
    world.settle()
    assert check(world.database, world.sandbox).differences == []


@pytest.mark.parametrize(("rpc", "sellers_own"), LOOK_UPS.items())
def test_an_admin_sees_a_sellers_money_as_the_seller_does(world: OrderBackend, rpc: str, sellers_own: str) -> None:
    completed(world)
    adjust(world, 5)
    for amount in (10, 20, 30):
        pay_out(world, amount)
    world.settle()

    shown = look_up(world, rpc).response

    own = world.rpc.call(sellers_own, getattr(order_pb2, f"{sellers_own}Request")(), SELLER).response
    assert MessageToDict(shown) == MessageToDict(own) != {}
    assert look_up(world, rpc, SELLER_ID.upper()).response == shown


@pytest.mark.parametrize("rpc", LOOK_UPS)
def test_any_id_is_a_seller_to_an_admin(world: OrderBackend, rpc: str) -> None:
    nobody = look_up(world, rpc, str(new_id())).response

    empty = {"currency": "USD"} if rpc == "GetSellerBalance" else {}
    assert MessageToDict(nobody) == empty
    assert look_up(world, rpc, "nobody").body == {"error": "Seller not found", "code": "NOT_FOUND"}


@pytest.mark.parametrize("rpc", LOOK_UPS)
def test_look_ups_of_sellers_are_refused_to_the_seller(world: OrderBackend, rpc: str) -> None:
    assert look_up(world, rpc, sent_token=SELLER).error == "FORBIDDEN"
    assert look_up(world, rpc, sent_token=token("webdev_pro", "seller", "buyer")).error == "FORBIDDEN"
    assert look_up(world, rpc, str(user_id("root"))).error == ""


@pytest.mark.parametrize("rpc", ["ListSellerBalanceEntries", "ListSellerPayouts"])
def test_look_ups_are_paged_and_their_tokens_belong_to_the_seller(world: OrderBackend, rpc: str) -> None:
    completed(world)
    for amount in range(1, 6):
        pay_out(world, amount)
        world.clock.travel(timedelta(seconds=1))

    seen: list[float] = []
    page_token, tokens = "", []
    while not seen or page_token:
        page = look_up(world, rpc, page_size=2, page_token=page_token).response
        seen += [abs(result.amount) for result in page.results]
        page_token = page.next_page_token
        tokens.append(page_token)

    assert seen[:5] == [5, 4, 3, 2, 1]
    assert look_up(world, rpc, str(new_id()), page_token=tokens[0]).error == "INVALID_ARGUMENT"
