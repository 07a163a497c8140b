"""The money report: its columns are sums of the ledger, and add up."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from order_service.domain.ledger import Account
from order_service.domain.money_report import CHECK, LIABILITIES, Movement, Row, report

FIRST = date(2026, 11, 1)
DAYS = [None, *(FIRST + timedelta(days=number) for number in range(4))]
FEES = (Account.FEES, Account.FEES_PAID)
# The provider's fees have two sides of their own; all other accounts may move money to each other.
OTHERS = [account for account in Account if account not in FEES]
PAIRS = st.sampled_from([FEES, *permutations(OTHERS, 2)])
CENTS = st.integers(-10_000_000, 10_000_000).map(lambda cents: Decimal(cents) / 100)
TRANSFERS = st.lists(st.tuples(st.sampled_from(DAYS), PAIRS, st.booleans(), CENTS), max_size=30)


def rows(*movements: Movement) -> list[Row]:
    return list(report(movements, FIRST, FIRST + timedelta(days=3)))


@given(TRANSFERS)
def test_the_columns_add_up_whatever_moves_between_accounts(
    transfers: list[tuple[date | None, tuple[Account, Account], bool, Decimal]],
) -> None:
    movements = [
        Movement(day, account, is_capture, amount * sign)
        for day, pair, is_capture, amount in transfers
        for account, sign in zip(pair, (1, -1), strict=True)
    ]

    *days, total = rows(*movements)

    def moved(account: Account, *, before: bool) -> Decimal:
        own = (each for each in movements if each.account is account and (before or each.day is not None))
        return sum((each.amount for each in own), Decimal(0))

    assert [row.amounts[CHECK] for row in (*days, total)] == [0] * 5
    assert {account: total.amounts[account] for account in LIABILITIES} == {
        account: moved(account, before=True) for account in LIABILITIES
    }
    assert total.amounts["commission"] == moved(Account.COMMISSION, before=False)
    assert total.amounts["payouts"] == moved(Account.PAID_OUT, before=False)
    assert total.amounts["fees"] == -moved(Account.FEES, before=False)
    assert total.amounts["chargebacks"] == -moved(Account.CHARGEBACKS, before=False)
    assert total.amounts["platform_refunds"] == -moved(Account.PLATFORM_REFUNDS, before=False)
    assert total.amounts["adjustments"] == -moved(Account.ADJUSTMENTS, before=False)
    outside = total.amounts["captured"] - total.amounts["refunds"] - total.amounts["chargebacks"]
    assert outside == -moved(Account.BUYERS, before=False)


def test_every_account_is_in_a_column_so_that_one_that_is_not_shows() -> None:
    movement = Movement(FIRST, Account.AVAILABLE, False, Decimal(1))

    assert rows(movement)[0].amounts[CHECK] == 1


def test_days_without_movements_have_the_liabilities_of_the_day_before() -> None:
    before = Movement(None, Account.ESCROW, True, Decimal(450))
    after = Movement(FIRST + timedelta(days=1), Account.ESCROW, False, Decimal(-50))

    assert [row.name for row in rows()] == ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04", "total"]
    assert [row.amounts[Account.ESCROW] for row in rows(before, after)] == [450, 400, 400, 400, 400]
