"""The postings of orders and payouts: each sums to zero, and no cent is lost or made."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_service.domain import ledger
from order_service.domain.commission import commission
from order_service.domain.ledger import Account, Kind, Line, Posting
from servicekit.ids import new_id

CENTS = st.integers(0, 100_000_000).map(lambda cents: Decimal(cents) / 100)
PRICES = st.integers(1, 100_000_000).map(lambda cents: Decimal(cents) / 100)
PERCENTS = st.integers(0, 10_000).map(lambda hundredths: Decimal(hundredths) / 100)


def sums_to_zero(posting: Posting) -> bool:
    return sum(line.amount for line in posting.lines) == 0


def balances(*postings: Posting) -> dict[Account, Decimal]:
    """Return the balances after these postings, without the empty accounts."""
    totals: Counter[Account] = Counter()
    for posting in postings:
        for line in posting.lines:
            totals[line.account] += line.amount  # type: ignore[assignment]  # a counter counts decimals, too
    return {account: Decimal(amount) for account, amount in totals.items() if amount}


@given(price=PRICES, percent=PERCENTS)
def test_a_commission_is_rounded_half_even_to_the_cent_and_the_rest_is_the_sellers(
    price: Decimal, percent: Decimal
) -> None:
    share = commission(price, percent)

    assert share == (price * percent / 100).quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN)
    assert 0 <= share <= price
    assert abs(share - price * percent / 100) <= Decimal("0.005")


@pytest.mark.parametrize(
    ("price", "share"),
    [("0.05", "0.00"), ("0.15", "0.02"), ("0.25", "0.02"), ("0.35", "0.04"), ("19.99", "2.00"), ("500", "50.00")],
)
def test_ten_percent_of_a_price(price: str, share: str) -> None:
    assert commission(Decimal(price), Decimal(10)) == Decimal(share)


@given(amount=PRICES)
def test_a_payout_ends_as_paid_out_or_back_in_the_available_balance(amount: Decimal) -> None:
    payout = (new_id(), new_id(), amount)

    requested = ledger.payout_requested(*payout)
    paid, failed = ledger.payout_paid(*payout), ledger.payout_failed(*payout)

    assert all(map(sums_to_zero, (requested, paid, failed)))
    assert balances(requested, paid) == {Account.AVAILABLE: -amount, Account.PAID_OUT: amount}
    assert balances(requested, failed) == {}


@given(amount=PRICES, data=st.data())
def test_a_payout_that_comes_back_in_parts_is_available_again(amount: Decimal, data: st.DataObject) -> None:
    payout = (new_id(), new_id(), amount)
    part = data.draw(st.integers(1, int(amount * 100)).map(lambda cents: Decimal(cents) / 100))

    reversal = ledger.payout_reversed(payout[0], payout[1], part, part)

    assert sums_to_zero(reversal)
    after = balances(ledger.payout_requested(*payout), ledger.payout_paid(*payout), reversal)
    assert after.get(Account.AVAILABLE, Decimal(0)) == part - amount
    assert after.get(Account.PAID_OUT, Decimal(0)) == amount - part


def test_the_difference_of_two_positions_has_gains_first_and_no_lines_of_zero() -> None:
    seller = new_id()
    before = (
        Line(Account.AVAILABLE, Decimal(500), seller, Kind.SALE),
        Line(Account.AVAILABLE, Decimal(-50), seller, Kind.COMMISSION),
    )
    after = (
        Line(Account.AVAILABLE, Decimal(500), seller, Kind.SALE),
        Line(Account.AVAILABLE, Decimal(-500), seller, Kind.REFUND),
    )

    assert ledger.difference(before, after) == (
        Line(Account.AVAILABLE, Decimal(50), seller, Kind.COMMISSION),
        Line(Account.AVAILABLE, Decimal(-500), seller, Kind.REFUND),
    )
    assert ledger.difference(after, after) == ()
