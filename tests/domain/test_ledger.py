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


@given(price=PRICES, percent=PERCENTS, data=st.data())
def test_an_order_that_is_over_leaves_escrow_empty_and_each_share_in_its_account(
    price: Decimal, percent: Decimal, data: st.DataObject
) -> None:
    order, seller = new_id(), new_id()
    share = commission(price, percent)
    refund = data.draw(st.integers(0, int(price * 100)).map(lambda cents: Decimal(cents) / 100))
    by_bank = data.draw(st.sampled_from([Decimal(0), refund, min(refund, Decimal("0.01"))]))
    captured = ledger.captured(order, seller, price, share)

    released = ledger.released(order, seller, price, share, refund, percent, by_bank)
    cancelled = ledger.cancelled(order, seller, price, share, by_bank)

    assert all(map(sums_to_zero, (captured, released, cancelled)))
    after_release, after_cancel = balances(captured, released), balances(captured, cancelled)
    for final in (after_release, after_cancel):
        assert Account.ESCROW not in final
        assert Account.ESCROW_COMMISSION not in final
        assert final.get(Account.BUYERS) == -price
    earned = commission(price - refund, percent)
    assert after_release.get(Account.AVAILABLE, 0) == price - refund - earned
    assert after_release.get(Account.COMMISSION, 0) == earned
    assert after_release.get(Account.REFUNDS_DUE, 0) == refund - by_bank
    assert after_cancel.get(Account.REFUNDS_DUE, 0) == price - by_bank
    due = price - by_bank
    if due:
        after_refund = balances(captured, cancelled, ledger.refunded(order, due))
        assert after_refund == ({Account.BUYERS: -by_bank, Account.CHARGEBACKS: by_bank} if by_bank else {})


@given(amount=PRICES)
def test_a_payout_ends_as_paid_out_or_back_in_the_available_balance(amount: Decimal) -> None:
    payout = (new_id(), new_id(), amount)

    requested = ledger.payout_requested(*payout)
    paid, failed = ledger.payout_paid(*payout), ledger.payout_failed(*payout)

    assert all(map(sums_to_zero, (requested, paid, failed)))
    assert balances(requested, paid) == {Account.AVAILABLE: -amount, Account.PAID_OUT: amount}
    assert balances(requested, failed) == {}


@given(amount=PRICES)
def test_a_won_chargeback_leaves_all_balances_empty(amount: Decimal) -> None:
    order = new_id()
    charged_back, won = ledger.charged_back("d", order, amount), ledger.chargeback_won("d", order, amount)

    assert balances(charged_back) == {Account.CHARGEBACKS: -amount, Account.BUYERS: amount}
    assert balances(charged_back, won) == {}


def test_a_sellers_entries_of_a_sale_are_the_price_the_refund_and_the_commission_on_the_rest() -> None:
    posting = ledger.released(new_id(), new_id(), Decimal(500), Decimal(50), Decimal("120.50"), Decimal(10), Decimal(0))

    entries = [(line.kind, line.amount) for line in posting.lines if line.account is Account.AVAILABLE]

    assert entries == [
        (Kind.SALE, Decimal(500)),
        (Kind.REFUND, Decimal("-120.50")),
        (Kind.COMMISSION, Decimal("-37.95")),
    ]


def test_a_posting_has_no_lines_of_zero() -> None:
    seller = new_id()
    posting = ledger.released(new_id(), seller, Decimal(5), Decimal(0), Decimal(0), Decimal(0), Decimal(0))

    assert posting.lines == (
        Line(Account.ESCROW, Decimal(-5), seller),
        Line(Account.AVAILABLE, Decimal(5), seller, Kind.SALE),
    )
