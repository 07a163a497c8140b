"""`python -m order_service.money_report`: write the money report as CSV; docs/money.md has its columns.

The exit status is 1 when the columns do not add up, and 2 when there is no report.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TextIO

from order_service.domain.money_report import CHECK, COLUMNS, Row, report
from order_service.settings import PaymentSettings
from order_service.store.money_report import MoneyReport
from servicekit.database import Database
from servicekit.errors import MarketplaceError
from servicekit.settings import load


def _day(argument: str) -> date:
    """Read a date. Raises argparse.ArgumentTypeError."""
    with suppress(ValueError):
        day = date.fromisoformat(argument)
        # Python reads other forms, too, such as 20261101.
        if day.isoformat() == argument and date.min < day < date.max:
            return day
    raise argparse.ArgumentTypeError(f"{argument!r} is no date, such as 2026-11-01")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m order_service.money_report",
        description="Write a CSV of revenue, commission, refunds, chargebacks, fees, payouts and liabilities by day,"
        " computed from the ledger. Days are in UTC.",
    )
    parser.add_argument("--from", dest="first", metavar="DATE", type=_day, required=True, help="the first day")
    parser.add_argument("--to", dest="last", metavar="DATE", type=_day, required=True, help="the last day, included")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the file to write, stdout by default")
    options = parser.parse_args()
    if options.first > options.last:
        parser.error(f"--from {options.first} is after --to {options.last}")
    return options


def write(rows: Iterable[Row], stream: TextIO) -> None:
    """Write the rows as CSV, amounts in major units with two decimals."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("date", *COLUMNS))
    for row in rows:
        # Zero added: a sum of zero can be -0.00.
        writer.writerow((row.name, *(f"{row.amounts[name] + 0:.2f}" for name in COLUMNS)))


def _write_file(rows: Iterable[Row], path: Path) -> None:
    """Write the file as a whole, or leave it as it was. Raises OSError."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as stream:
            write(rows, stream)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def main() -> int:
    """Write the report of the database that the environment names."""
    options = _options()
    database = Database(load(PaymentSettings).order_database_url)
    try:
        rows = list(report(MoneyReport(database).movements(options.first, options.last), options.first, options.last))
        if options.out is None:
            write(rows, sys.stdout)
        else:
            _write_file(rows, options.out)
    except MarketplaceError as error:
        print(f"The ledger could not be read: {error.__cause__ or error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"The report could not be written: {error}", file=sys.stderr)
        return 2
    if any(row.amounts[CHECK] for row in rows):
        print("The columns do not add up: the ledger is damaged. See make check-books.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
