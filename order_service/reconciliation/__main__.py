"""`python -m order_service.reconciliation`: compare a window, and print each difference.

The exit status is 1 when there is a difference, and 2 when the check was impossible.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from order_service.payments.providers import payments_from
from order_service.reconciliation.findings import text
from order_service.reconciliation.run import BusyError, FutureError, Window, reconcile
from order_service.settings import PaymentSettings
from servicekit.console import FAILED, run_command
from servicekit.database import Database
from servicekit.progress import Progress
from servicekit.settings import load

BEGINNING = "beginning"


def _since(argument: str) -> datetime | None:
    return None if argument == BEGINNING else _time(argument)


def _time(argument: str) -> datetime:
    """Read a date or a time, in UTC unless it says otherwise. Raises argparse.ArgumentTypeError."""
    try:
        at = datetime.fromisoformat(argument)
    except ValueError:
        message = f"{argument!r} is neither a date nor a time, such as 2026-11-01 or 2026-11-01T12:00:00Z"
        raise argparse.ArgumentTypeError(message) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _window() -> Window | None:
    """Read the command line. Return None for the default window."""
    parser = argparse.ArgumentParser(
        prog="python -m order_service.reconciliation",
        description="Compare orders, payments, the ledger, payouts and the payment provider's records.",
        epilog="By default it compares what changed since the last run without a difference. An interrupted run goes"
        " on when it is started again with the same options. Times are in UTC.",
    )
    parser.add_argument(
        "--since", metavar="TIME", type=_since, default=..., help=f"the begin of the window, or '{BEGINNING}'"
    )
    parser.add_argument("--until", metavar="TIME", type=_time, help="the end of the window, now by default")
    options = parser.parse_args()
    if options.since is ...:
        if options.until is not None:
            parser.error("--until needs --since")
        return None
    if options.since is not None and options.until is not None and options.since >= options.until:
        parser.error("--since must be earlier than --until")
    return Window(options.since, options.until)


def main() -> int:
    """Check the databases that the environment names."""
    window = _window()
    settings = load(PaymentSettings)
    payments, _ = payments_from(settings)

    def check(progress: Progress) -> int:
        try:
            findings = reconcile(Database(settings.order_database_url), payments.gateway, window, progress=progress)
        except BusyError:
            print("Another check of the books is running.", file=sys.stderr)
            return FAILED
        except FutureError:
            print("--until must not be in the future.", file=sys.stderr)
            return FAILED
        progress.end()
        print(text(findings))
        return int(bool(findings.differences))

    return run_command(check, failed="The records could not be read", interrupted="The same command goes on from here.")


if __name__ == "__main__":
    sys.exit(main())
