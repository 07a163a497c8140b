"""The money report: a marketplace's money by day, from the movements of the ledger's accounts.

Every account is in a column, so that the columns of a day add up: the liabilities change by what was captured and what
the platform has added, less what was refunded, earned and paid out. `check` is what is missing in that sum: zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from order_service.domain.ledger import Account

NOTHING = Decimal(0)
# Movements of the day. Those of `BUYERS` are apart: captures, and the rest of them, which is below `refunds`.
MOVEMENTS = ("captured", "commission", "refunds", "chargebacks", "fees", "platform_refunds", "adjustments", "payouts")
# Balances at the end of the day: the money that the platform holds for others, and the commission in escrow.
LIABILITIES = (
    Account.ESCROW,
    Account.ESCROW_COMMISSION,
    Account.AVAILABLE,
    Account.PAYING_OUT,
    Account.REFUNDS_DUE,
)
CHECK = "check"
COLUMNS = (*MOVEMENTS, *LIABILITIES, CHECK)


@dataclass(frozen=True, slots=True)
class Movement:
    """The sum of an account's entries on a day (UTC), in major units; `day` is None for the time before the report.

    Captures come apart from everything else.
    """

    day: date | None
    account: Account
    is_capture: bool
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the report: a day or `total`, and the amounts of COLUMNS in major units."""

    name: str
    amounts: Mapping[str, Decimal]


def report(movements: Iterable[Movement], first: date, last: date) -> Iterator[Row]:
    """Yield a row for each day from `first` to `last`, and the row `total`, with the liabilities of the last day."""
    by_day: dict[date | None, list[Movement]] = {}
    for movement in movements:
        by_day.setdefault(movement.day, []).append(movement)
    balances = {account: _sum(by_day.get(None, []), account) for account in LIABILITIES}
    total = dict.fromkeys(COLUMNS, NOTHING)
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        moved = by_day.get(day, [])
        changes = {account: _sum(moved, account) for account in LIABILITIES}
        balances = {account: balances[account] + changes[account] for account in LIABILITIES}
        amounts = _movements(moved)
        amounts[CHECK] = sum(changes.values(), NOTHING) - _added(amounts)
        total = {name: total[name] + amounts.get(name, NOTHING) for name in COLUMNS} | balances
        yield Row(day.isoformat(), amounts | balances)
    yield Row("total", total)


def _movements(moved: list[Movement]) -> dict[str, Decimal]:
    """Return the amounts of MOVEMENTS: costs of the platform are above zero.

    A chargeback is the part that banks took beyond the refunds, and a refund may be kept by a bank.
    """
    captured = -sum((each.amount for each in moved if each.is_capture and each.account is Account.BUYERS), NOTHING)
    chargebacks = -_sum(moved, Account.CHARGEBACKS)
    return {
        "captured": captured,
        "commission": _sum(moved, Account.COMMISSION),
        "refunds": captured + _sum(moved, Account.BUYERS) - chargebacks,
        "chargebacks": chargebacks,
        "fees": -_sum(moved, Account.FEES),
        "platform_refunds": -_sum(moved, Account.PLATFORM_REFUNDS),
        "adjustments": -_sum(moved, Account.ADJUSTMENTS),
        "payouts": _sum(moved, Account.PAID_OUT),
    }


def _added(amounts: Mapping[str, Decimal]) -> Decimal:
    """Return the change of all liabilities that the movements make."""
    gains = ("captured", "platform_refunds", "adjustments")
    losses = ("commission", "refunds", "payouts")
    return sum((amounts[name] for name in gains), NOTHING) - sum((amounts[name] for name in losses), NOTHING)


def _sum(moved: list[Movement], account: Account) -> Decimal:
    return sum((each.amount for each in moved if each.account is account), NOTHING)
