"""Payouts that wait or fail, and adjustments."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from order_service.domain.balance import check_adjustment
from order_service.domain.ledger import Account, adjusted
from order_service.domain.payout import (
    HELD,
    NOT_COVERED,
    REFUSED,
    Payout,
    Status,
    check_hold,
    failure_reason,
    may_send,
    retry_delay,
)
from servicekit.errors import Conflict
from servicekit.ids import new_id
from tests.support.orders import NOON, SELLER

PAYOUT = Payout(new_id(), SELLER, Decimal(100), "USD", Status.PENDING, "acct_1", NOON)
SENT = replace(PAYOUT, sent_at=NOON)


def test_a_hold_stops_only_a_payout_that_the_provider_was_not_asked_for() -> None:
    assert may_send(PAYOUT, is_held=False)
    assert not may_send(PAYOUT, is_held=True)
    assert may_send(SENT, is_held=True)
    assert not may_send(replace(PAYOUT, status=Status.PAID), is_held=False)


@pytest.mark.parametrize(
    ("payout", "is_held", "reason"),
    [
        (PAYOUT, False, ""),
        (PAYOUT, True, HELD),
        (SENT, True, ""),
        (replace(PAYOUT, refusals=1), False, NOT_COVERED),
        (replace(PAYOUT, refusals=1), True, HELD),
        (replace(SENT, refusals=1), False, NOT_COVERED),
        (replace(PAYOUT, refusals=1, status=Status.PAID), True, ""),
        (replace(PAYOUT, status=Status.FAILED, error="account_closed: acct_1"), True, REFUSED),
    ],
)
def test_a_payout_says_why_it_waits_or_failed_in_our_own_words(payout: Payout, is_held: bool, reason: str) -> None:
    assert failure_reason(payout, is_held=is_held) == reason


def test_a_payout_that_is_not_covered_is_sent_again_after_minutes_then_hours() -> None:
    delays = [retry_delay(refusals) for refusals in (1, 2, 3, 6, 1000)]

    assert delays == [timedelta(minutes=minutes) for minutes in (2, 4, 8, 60, 60)]


def test_held_payouts_refuse_new_ones() -> None:
    check_hold(is_held=False)
    with pytest.raises(Conflict, match="PAYOUTS_HELD"):
        check_hold(is_held=True)


def test_an_adjustment_may_take_all_that_is_available_and_no_more() -> None:
    check_adjustment(Decimal(-5), Decimal(5))
    with pytest.raises(Conflict, match="INSUFFICIENT_BALANCE"):
        check_adjustment(Decimal("-5.01"), Decimal(5))


@pytest.mark.parametrize("amount", [Decimal("12.34"), Decimal("-0.01")])
def test_an_adjustment_moves_money_between_the_seller_and_the_platform(amount: Decimal) -> None:
    adjustment_id = new_id()

    posting = adjusted(adjustment_id, SELLER, amount, "For the outage")

    assert {line.account: line.amount for line in posting.lines} == {
        Account.AVAILABLE: amount,
        Account.ADJUSTMENTS: -amount,
    }
    assert (posting.reference, posting.message) == (f"adjustment:{adjustment_id}", "For the outage")
