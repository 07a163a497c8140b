"""The result of a run of reconciliation, and its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

NOTHING = Decimal(0)


@dataclass
class Findings:
    """The counts and totals of a run, and its differences.

    The window is from `since` (None for the beginning) until `until`. `is_complete` is false for a run that stopped
    because too much was wrong.
    """

    since: datetime | None
    until: datetime
    orders: int = 0
    payouts: int = 0
    transactions: int = 0
    pending: int = 0
    totals: dict[str, Decimal] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    is_complete: bool = True


def text(findings: Findings) -> str:
    """Return the findings for the terminal."""
    since = _time(findings.since) if findings.since else "the beginning"
    counts = f"{findings.orders:,} orders, {findings.payouts:,} payouts, {findings.pending:,} pending"
    lines = [
        f"from {since} until {_time(findings.until)}: {counts}",
        f"the whole ledger: {findings.transactions:,} transactions",
    ]
    lines += [f"  {name:<18} {amount:>16,}" for name, amount in findings.totals.items()]
    lines += [f"  sum                {sum(findings.totals.values(), NOTHING):>16,}"] if findings.totals else []
    lines += [f"DIFFERENCE {difference}" for difference in findings.differences]
    if not findings.is_complete:
        lines.append("stopped early: too many orders and payouts are wrong")
    lines.append(f"{len(findings.differences):,} differences" if findings.differences else "no differences")
    return "\n".join(lines)


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
