"""Balances, payouts and payout accounts of sellers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from marketplace.order.v1 import order_pb2
from order_service.payments.sandbox import scenarios
from order_service.reconciliation import check
from servicekit.ids import new_id
from tests.support.at_once import closing
from tests.support.identity import token
from tests.support.orderservice import ADMIN, BUYER, SELLER, STRANGER, OrderBackend
from tests.support.rpc import Answer
from tests.support.sellers import completed, entry_amounts, pay_out, set_account


def payouts(world: OrderBackend, sent_token: str = SELLER, **filters: Any) -> Answer:
    return world.rpc.call("ListPayouts", order_pb2.ListPayoutsRequest(**filters), sent_token)


def get_payout(world: OrderBackend, payout_id: str, sent_token: str = SELLER) -> Answer:
    return world.rpc.call("GetPayout", order_pb2.GetPayoutRequest(payout_id=payout_id), sent_token)


def entries(world: OrderBackend, sent_token: str = SELLER, **filters: Any) -> Answer:
    return world.rpc.call("ListBalanceEntries", order_pb2.ListBalanceEntriesRequest(**filters), sent_token)


def status_of(answer: Answer) -> str:
    return order_pb2.Payout.Status.Name(answer.response.payout.status)


def test_a_seller_without_sales_has_an_empty_balance(world: OrderBackend) -> None:
    answer = world.rpc.call("GetBalance", order_pb2.GetBalanceRequest(), SELLER)

    assert (answer.response.currency, world.balance()) == ("USD", (0, 0, 0))
    assert list(entries(world).response.results) == []
    assert list(payouts(world).response.results) == []


@pytest.mark.parametrize("rpc", ["GetBalance", "ListBalanceEntries", "RequestPayout", "SetPayoutAccount"])
def test_balances_are_for_sellers(world: OrderBackend, rpc: str) -> None:
    request = getattr(order_pb2, f"{rpc}Request")()

    assert world.rpc.call(rpc, request, BUYER).error == "FORBIDDEN"
    assert world.rpc.call(rpc, request, ADMIN).error == "FORBIDDEN"
    assert world.rpc.call(rpc, request).error == "UNAUTHORIZED"


def test_the_entries_of_a_sale_add_up_to_the_available_balance(world: OrderBackend) -> None:
    order = world.accepted()
    world.act("deliver", order, SELLER)
    world.act("dispute", order, BUYER, "Half of it is missing")
    world.resolve(order, "COMPLETED", 100.10)

    assert entry_amounts(world) == [("COMMISSION", -39.99), ("REFUND", -100.10), ("SALE", 500)]
    assert world.balance() == (0, 359.91, 0)
    first = entries(world).response.results[0]
    assert (first.order_id, first.HasField("payout_id")) == (order, False)


def test_a_commission_is_rounded_half_even_and_the_rest_is_the_sellers(world: OrderBackend) -> None:
    for price, commission in ((0.65, 0.06), (0.75, 0.08), (0.85, 0.08), (19.99, 2.0)):
        completed(world, price)
        assert entry_amounts(world)[0] == ("COMMISSION", -commission)


def test_a_payout_leaves_the_balance_immediately_and_is_sent_by_a_worker(world: OrderBackend) -> None:
    completed(world)

    answer = pay_out(world, 100.5)

    assert (answer.response.amount, answer.response.currency) == (100.5, "USD")
    assert answer.response.status == order_pb2.Payout.PENDING
    assert answer.headers["location"] == f"/api/payouts/{answer.response.payout_id}"
    assert world.balance() == (0, 349.5, 0)
    world.settle()
    assert world.balance() == (0, 349.5, 100.5)
    assert status_of(get_payout(world, answer.response.payout_id)) == "PAID"
    assert [(str(payout.payout_id), float(payout.amount)) for payout in world.sandbox_transfers()] == [
        (answer.response.payout_id, 100.5)
    ]
    assert entry_amounts(world)[0] == ("PAYOUT", -100.5)


def test_a_payout_without_an_amount_is_of_the_whole_available_balance(world: OrderBackend) -> None:
    completed(world)

    assert pay_out(world).response.amount == 450
    assert (pay_out(world).http_status, pay_out(world).error) == (409, "INSUFFICIENT_BALANCE")


@pytest.mark.parametrize("amount", [450.01, 1000000000])
def test_more_than_is_available_is_refused_and_changes_nothing(world: OrderBackend, amount: float) -> None:
    completed(world)

    answer = pay_out(world, amount)

    assert (answer.http_status, answer.error) == (409, "INSUFFICIENT_BALANCE")
    assert (world.balance(), list(payouts(world).response.results)) == ((0, 450, 0), [])


@pytest.mark.parametrize("amount", [0, -1, 0.001, 1.005, float("nan"), float("inf")])
def test_an_invalid_amount_is_named(world: OrderBackend, amount: float) -> None:
    assert {each["field"] for each in pay_out(world, amount).body["details"]} == {"amount"}


def test_a_payout_that_the_provider_refuses_gives_the_money_back(world: OrderBackend) -> None:
    completed(world)
    assert set_account(world, scenarios.PAYOUT_REFUSED).error == ""

    payout = pay_out(world, 100).response.payout_id
    world.settle()

    assert status_of(get_payout(world, payout)) == "FAILED"
    assert world.balance() == (0, 450, 0)
    assert entry_amounts(world)[:2] == [("PAYOUT_FAILED", 100), ("PAYOUT", -100)]
    assert entries(world).response.results[0].payout_id == payout
    assert world.sandbox_transfers() == []


def test_a_payout_with_an_unknown_outcome_is_paid_once(world: OrderBackend) -> None:
    completed(world)
    set_account(world, scenarios.PAYOUT_TIMEOUT)

    payout = pay_out(world, 100).response.payout_id
    world.settle_with_retries()

    assert status_of(get_payout(world, payout)) == "PAID"
    assert len(world.sandbox_transfers()) == 1
    assert world.balance() == (0, 350, 100)


def test_an_unknown_account_of_the_sandbox_is_named(world: OrderBackend) -> None:
    assert [each["field"] for each in set_account(world, "sandbox_bank").body["details"]] == ["destination"]
    assert set_account(world, " acct_1 ").response.destination == "acct_1"


def test_twenty_concurrent_payouts_never_exceed_the_balance(world: OrderBackend) -> None:
    completed(world)
    workers = [world.another_worker() for _ in range(20)]

    with ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(closing(world.database, partial(pay_out, worker, 100))) for worker in workers]
        answers = [call.result(30) for call in calls]

    assert sorted(answer.error for answer in answers) == [*[""] * 4, *["INSUFFICIENT_BALANCE"] * 16]
    assert world.balance() == (0, 50, 0)


def test_the_same_key_is_one_payout_and_gets_the_first_response_whatever_its_status_now(world: OrderBackend) -> None:
    completed(world)

    first = pay_out(world, 100, idempotency_key="k")
    world.settle()
    second = pay_out(world, 100, idempotency_key="k")

    assert second.response == first.response
    assert second.headers["location"] == first.headers["location"]
    assert pay_out(world, 200, idempotency_key="k").http_status == 422
    assert world.balance() == (0, 350, 100)


def test_a_payout_is_seen_by_its_seller_and_admins(world: OrderBackend) -> None:
    completed(world)
    payout = pay_out(world, 100).response.payout_id

    assert get_payout(world, payout, ADMIN).response == get_payout(world, payout).response
    assert get_payout(world, payout, STRANGER).body == {"error": "Payout not found", "code": "NOT_FOUND"}
    assert get_payout(world, payout, BUYER).error == "FORBIDDEN"
    assert get_payout(world, str(new_id())).error == get_payout(world, "nonsense").error == "NOT_FOUND"


def test_lists_are_newest_first_and_paged(world: OrderBackend) -> None:
    completed(world)
    created = [pay_out(world, 10 + number).response.payout_id for number in range(5)]

    seen, page_token = [], ""
    for _ in range(3):
        page = payouts(world, page_size=2, page_token=page_token).response
        seen += [payout.payout_id for payout in page.results]
        page_token = page.next_page_token
    kinds, page_token = [], ""
    for _ in range(4):
        entry_page = entries(world, page_size=2, page_token=page_token).response
        kinds += [order_pb2.BalanceEntry.Kind.Name(entry.kind) for entry in entry_page.results]
        page_token = entry_page.next_page_token

    assert seen == created[::-1]
    assert kinds == [*["PAYOUT"] * 5, "COMMISSION", "SALE"]
    assert page_token == ""
    assert [payout.payout_id for payout in payouts(world, ADMIN).response.results] == created[::-1]
    assert list(payouts(world, token("another", "seller")).response.results) == []
    assert entries(world, page_token="nonsense").error == "INVALID_ARGUMENT"


def test_a_payout_that_the_provider_takes_back_is_available_again(world: OrderBackend) -> None:
    order = world.delivered()
    world.act("complete", order, BUYER)
    payout = world.rpc.call("RequestPayout", order_pb2.RequestPayoutRequest(amount=100), SELLER).response.payout_id
    world.settle()
    assert world.balance() == (0, 350, 100)

    world.sandbox.reverse_transfer(UUID(payout), Decimal(30))
    world.settle()
    assert world.balance() == (0, 380, 70)
    shown = world.rpc.call("GetPayout", order_pb2.GetPayoutRequest(payout_id=payout), SELLER).response.payout
    assert (shown.status, shown.failure_reason) == (
        order_pb2.Payout.PAID,
        "The payment provider took 30.00 of the payout back",
    )

    world.sandbox.reverse_transfer(UUID(payout))
    world.settle()

    assert world.balance() == (0, 450, 0)
    shown = world.rpc.call("GetPayout", order_pb2.GetPayoutRequest(payout_id=payout), SELLER).response.payout
    assert shown.status == order_pb2.Payout.FAILED
    assert check(world.database, world.sandbox).differences == []
