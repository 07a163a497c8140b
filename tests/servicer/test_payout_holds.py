"""Payout holds by admins, and payouts that wait."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest

from order_service.commands.request_payout import RequestPayout
from order_service.commands.set_payout_hold import SetPayoutHold
from order_service.domain.payout import HELD, NOT_COVERED, REFUSED
from order_service.payments.gateway import Transfer
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.gateway import PAYOUT_NOT_COVERED_FOR, Sandbox
from order_service.reconciliation import check
from servicekit.database import Database, Statement
from servicekit.errors import Unavailable
from servicekit.ids import new_id
from servicekit.outbox import PutOff
from tests.support.at_once import closing
from tests.support.identity import token, user_id
from tests.support.locks import wait_for_a_lock_waiter
from tests.support.orderservice import BUYER, SELLER, OrderBackend
from tests.support.sellers import (
    adjust,
    completed,
    get_hold,
    hold,
    pay_out,
    release,
    send,
    set_account,
    shown_payout,
)

PAYOUT_ROW = Statement("SELECT sent_at IS NOT NULL AS is_sent, refusals FROM payouts WHERE id = $1")
OUTBOX_KEYS = Statement("SELECT key FROM outbox WHERE topic = 'payout'")


def test_a_hold_is_read_set_changed_and_released(world: OrderBackend) -> None:
    assert get_hold(world).body == {"error": "Payout hold not found", "code": "NOT_FOUND"}

    first = hold(world, "A look at the last orders").response
    world.clock.travel(timedelta(hours=1))
    second = hold(world, "Still looking").response

    assert (first.reason, second.reason) == ("A look at the last orders", "Still looking")
    assert second.since == first.since
    assert get_hold(world).response == type(get_hold(world).response)(reason="Still looking", since=first.since)
    assert [release(world).error for _ in range(2)] == ["", ""]
    assert get_hold(world).error == "NOT_FOUND"


@pytest.mark.parametrize("sent_token", [SELLER, BUYER])
def test_holds_are_for_admins(world: OrderBackend, sent_token: str) -> None:
    for call in (partial(hold, world), partial(get_hold, world), partial(release, world)):
        assert call(sent_token=sent_token).error == "FORBIDDEN"


def test_an_admin_cannot_hold_or_release_themselves(world: OrderBackend) -> None:
    admin, own_id = token("both", "admin", "seller"), str(user_id("both"))

    assert hold(world, seller=own_id, sent_token=admin).error == "FORBIDDEN"
    assert hold(world, seller=own_id).error == ""
    assert release(world, seller=own_id, sent_token=admin).error == "FORBIDDEN"
    assert get_hold(world, seller=own_id, sent_token=admin).error == ""


@pytest.mark.parametrize("reason", ["", " ", "x" * 5001])
def test_a_reason_out_of_bounds_is_named(world: OrderBackend, reason: str) -> None:
    assert [each["field"] for each in hold(world, reason).body["details"]] == ["reason"]


def test_a_new_payout_is_refused_while_the_payouts_are_held_before_any_other_conflict(world: OrderBackend) -> None:
    completed(world)
    known = pay_out(world, 100, idempotency_key="k")
    hold(world)

    assert (pay_out(world, 100).http_status, pay_out(world, 100).error) == (409, "PAYOUTS_HELD")
    assert pay_out(world, 1_000_000).error == "PAYOUTS_HELD"
    assert pay_out(world, 100, idempotency_key="k").response == known.response
    release(world)
    assert pay_out(world, 100).error == ""


def test_a_pending_payout_waits_for_the_release_and_then_goes(world: OrderBackend) -> None:
    completed(world)
    payouts = [pay_out(world, 100).response.payout_id for _ in range(2)]
    hold(world)

    world.settle()

    assert [shown_payout(world, payout) for payout in payouts] == [("PENDING", HELD)] * 2
    assert world.sandbox_transfers() == []
    assert world.database.fetch_all(OUTBOX_KEYS) == []
    assert check(world.database, world.sandbox).differences == []
    release(world)
    assert shown_payout(world, payouts[0]) == ("PENDING", "")
    world.settle()
    assert [shown_payout(world, payout) for payout in payouts] == [("PAID", "")] * 2
    assert len(world.sandbox_transfers()) == 2


def test_a_hold_stops_neither_sales_nor_adjustments(world: OrderBackend) -> None:
    hold(world)

    completed(world)

    assert adjust(world, 10).error == ""
    assert world.balance() == (0, 460, 0)


def test_a_payout_whose_outcome_is_not_known_is_finished_although_it_is_held(world: OrderBackend) -> None:
    completed(world)
    set_account(world, scenarios.PAYOUT_TIMEOUT)
    payout = pay_out(world, 100).response.payout_id
    with pytest.raises(Unavailable):
        send(world, payout)

    hold(world)
    send(world, payout)

    assert shown_payout(world, payout) == ("PAID", "")
    assert len(world.sandbox_transfers()) == 1
    assert world.balance() == (0, 350, 100)


def test_a_payout_that_is_not_covered_says_so_and_is_asked_anew_later(world: OrderBackend) -> None:
    completed(world)
    set_account(world, scenarios.PAYOUT_WAITS)
    payout = pay_out(world, 100).response.payout_id

    with pytest.raises(PutOff) as first:
        send(world, payout)

    assert timedelta(seconds=5) < first.value.delay <= PAYOUT_NOT_COVERED_FOR
    assert shown_payout(world, payout) == ("PENDING", NOT_COVERED)
    assert world.database.fetch_all(PAYOUT_ROW, payout) == [{"is_sent": False, "refusals": 1}]
    world.sandbox_clock.travel(PAYOUT_NOT_COVERED_FOR)
    send(world, payout)
    assert shown_payout(world, payout) == ("PAID", "")
    assert world.balance() == (0, 350, 100)


def test_a_payout_that_is_not_covered_waits_for_a_release_too(world: OrderBackend) -> None:
    completed(world)
    set_account(world, scenarios.PAYOUT_WAITS)
    payout = pay_out(world, 100).response.payout_id
    with pytest.raises(PutOff):
        send(world, payout)
    hold(world)
    world.sandbox_clock.travel(PAYOUT_NOT_COVERED_FOR)

    send(world, payout)

    assert shown_payout(world, payout) == ("PENDING", HELD)
    release(world)
    send(world, payout)
    assert shown_payout(world, payout) == ("PAID", "")


def test_a_payout_that_was_put_off_goes_at_once_after_a_release(world: OrderBackend) -> None:
    completed(world)
    set_account(world, scenarios.PAYOUT_WAITS)
    payout = pay_out(world, 100).response.payout_id
    world.settle()
    assert shown_payout(world, payout) == ("PENDING", NOT_COVERED)
    # Its own time is seconds away on the clock of the service.
    world.sandbox_clock.travel(PAYOUT_NOT_COVERED_FOR)
    hold(world)

    release(world)
    world.settle()

    assert shown_payout(world, payout) == ("PAID", "")
    assert world.database.fetch_all(OUTBOX_KEYS) == []


def test_a_refused_payout_says_so_in_our_own_words(world: OrderBackend) -> None:
    completed(world)
    set_account(world, scenarios.PAYOUT_REFUSED)
    payout = pay_out(world, 100).response.payout_id

    world.settle()

    assert shown_payout(world, payout) == ("FAILED", REFUSED)


class BlockedSandbox(Sandbox):
    """A sandbox whose payouts take until they may go on."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.was_asked, self.may_go_on = threading.Event(), threading.Event()

    def pay_out(self, transfer: Transfer) -> str:
        self.was_asked.set()
        assert self.may_go_on.wait(30)
        return super().pay_out(transfer)


def test_a_payout_that_the_provider_is_being_asked_about_is_finished(
    world: OrderBackend, sandbox_database: Database
) -> None:
    completed(world)
    payout = pay_out(world, 100).response.payout_id
    blocked = BlockedSandbox(sandbox_database)
    world.use_sandbox(blocked)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(closing(world.database, partial(send, world, payout)))
        assert blocked.was_asked.wait(30)
        # It waits for nobody: no transaction is open while the provider is asked.
        assert hold(world).error == ""
        assert shown_payout(world, payout) == ("PENDING", "")
        blocked.may_go_on.set()
        sending.result(30)

    assert shown_payout(world, payout) == ("PAID", "")


def test_two_deliveries_of_a_payout_at_the_same_moment_pay_it_once(
    world: OrderBackend, sandbox_database: Database
) -> None:
    completed(world)
    payout = pay_out(world, 100).response.payout_id
    blocked = BlockedSandbox(sandbox_database)
    world.use_sandbox(blocked)

    with ThreadPoolExecutor(2) as pool:
        sending = [pool.submit(closing(world.database, partial(send, world, payout))) for _ in range(2)]
        assert blocked.was_asked.wait(30)
        blocked.may_go_on.set()
        for each in sending:
            each.result(30)

    assert len(world.sandbox_transfers()) == 1
    assert world.balance() == (0, 350, 100)


def test_a_hold_waits_for_a_payout_that_is_being_requested_and_then_holds_it(world: OrderBackend) -> None:
    completed(world)
    seller_id = user_id("webdev_pro")
    set_hold, request = SetPayoutHold(world.store), RequestPayout(world.store, "USD", needs_account=False)

    with ThreadPoolExecutor(1) as pool:
        with world.store.transaction("payout"):
            payout = str(request.execute(seller_id, Decimal(100)).id)
            work = partial(set_hold.execute, seller_id, user_id("root"), "A look")
            holding = pool.submit(closing(world.database, work))
            wait_for_a_lock_waiter(world.database)
        holding.result(30)

    world.settle()
    assert shown_payout(world, payout) == ("PENDING", HELD)
    release(world)
    world.settle()
    assert shown_payout(world, payout) == ("PAID", "")


def test_a_hold_of_a_seller_leaves_others_alone(world: OrderBackend) -> None:
    completed(world)
    hold(world, seller=str(new_id()))

    payout = pay_out(world, 100).response.payout_id
    world.settle()

    assert shown_payout(world, payout) == ("PAID", "")
