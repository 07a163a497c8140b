"""`make load-data`: fill the databases of a running stack with a large, believable marketplace."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import psycopg2
from psycopg2.extensions import parse_dsn
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from deploy.local.control import process_states
from deploy.local.environment import database_urls, of_service
from deploy.local.layout import Layout
from deploy.local.load_data import plan
from deploy.local.load_data.loading import KEPT, TABLES, Missing, Target, load
from deploy.local.settings import StackSettings, explain
from gig_service.store import bulk_load as gigs_bulk_load
from servicekit.errors import MarketplaceError

HELP = """\
Fill the databases of a running stack with a large, believable marketplace, for trials and benchmarks: gigs with three
packages each, as many reviews, 1.12 times as many orders with their payments, ledger and payouts, all invented. They
are written by COPY into the databases, past the API, and nothing takes them out again: use a DATA_DIR that you can
throw away. A load that was stopped goes on where it was; another SEED adds other gigs. PORT and DATA_DIR name it.
"""
LOCAL_HOSTS = frozenset(("", "localhost", "127.0.0.1", "::1"))


class LoadError(Exception):
    """The load cannot run; the text has the reason and the remedy."""


class ShownProgress:
    """A line for each phase: a bar on a terminal, and nothing that moves elsewhere."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description:<26}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
        self.bars = Progress(*columns, console=console)
        self._task: TaskID | None = None

    def begin(self, phase: str, total: int) -> None:
        """Begin a phase of so many steps."""
        self._task = self.bars.add_task(phase, total=total)

    def advance(self, steps: int) -> None:
        """Make steps of the phase."""
        assert self._task is not None
        self.bars.advance(self._task, steps)


def target(settings: StackSettings) -> Target:
    """Return the databases of the stack. Raises LoadError when it is not one for trials on this machine."""
    if settings.user_jwks is not None:
        raise LoadError("USER_JWKS is set, so this deployment has users of its own. Load data into a stack without it")
    if settings.payments != "sandbox":
        raise LoadError("PAYMENTS is not `sandbox`: the invented orders would ask a real payment provider")
    layout = Layout.of(settings.data_dir)
    if process_states(layout.supervisor_socket) is None:
        raise LoadError(f"no stack is running on {settings.data_dir}. Start one with `make run`, in another terminal")
    urls = database_urls(settings, layout)
    for name, url in urls.items():
        host = parse_dsn(url.replace("postgres://", "postgresql://", 1)).get("host", "")
        if host not in LOCAL_HOSTS and not host.startswith("/"):
            raise LoadError(f"the database of {name} is on {host}. Only databases on this machine are filled")
    environment = of_service("order", settings, layout, os.environ)
    percent = Decimal(environment.get("COMMISSION_PERCENT") or 10)
    return Target({name: urls[name] for name in TABLES}, environment.get("CURRENCY") or "USD", percent)


def run(
    chosen: Target, seed: int, gigs: int, size: int, progress: ShownProgress
) -> tuple[list[Missing], dict[str, Counter[str]]]:
    """Load what is missing. Return the batches that were loaded, and the seconds of each part. Raises LoadError."""
    connections = {name: chosen.open(name) for name in chosen.urls}
    for name, bulk in connections.items():
        bulk.create_schema()
        if not bulk.lock():
            raise LoadError("another load is running on these databases")
        bulk.set_aside(TABLES[name], KEPT.get(name, ()))
    gigs_bulk_load.prepare(connections["gig"])
    batches = plan.extend(connections["gig"], seed, gigs, size)
    loaded = {name: bulk.loaded(seed) for name, bulk in connections.items()}
    missing = [
        Missing(batch, frozenset(name for name, numbers in loaded.items() if batch.number not in numbers))
        for batch in batches
    ]
    missing = [each for each in missing if each.databases]
    with progress.bars:
        return missing, load(chosen, missing, progress)


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the load. Return 1 when it cannot run or is stopped, 2 when a setting is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.load_data", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigs", metavar="N", type=_number, required=True, help="the gigs with this seed, in all")
    parser.add_argument("--seed", metavar="N", type=_number, default=1, help="another one gives other gigs; 1")
    parser.add_argument("--batch", metavar="N", type=_number, default=plan.SIZE, help=f"gigs of a batch; {plan.SIZE}")
    parser.add_argument("--times", action="store_true", help="print the seconds of each part")
    options = parser.parse_args(arguments)
    try:
        settings = StackSettings()
    except ValidationError as error:
        sys.stderr.write("".join(f"load-data: {line}\n" for line in explain(error)))
        return 2
    console, began = Console(highlight=False), time.monotonic()
    try:
        chosen = target(settings)
        console.print(
            f"Writing invented users, gigs, orders and payments into the databases of {settings.data_dir}, for trials; "
            "they cannot be taken out again.",
            soft_wrap=True,
            markup=False,
        )
        missing, report = run(chosen, options.seed, options.gigs, options.batch, ShownProgress(console))
    except (LoadError, MarketplaceError, psycopg2.Error) as problem:
        sys.stderr.write(f"load-data: {problem.__cause__ or problem}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("load-data: stopped; the same command goes on here\n")
        return 1
    if options.times:
        for part, seconds in report.items():
            words = ", ".join(f"{name} {value:.1f}" for name, value in seconds.most_common())
            console.print(f"{part}: {words}", soft_wrap=True, markup=False)
    number = sum(each.batch.gigs for each in missing)
    text = f"Loaded {number:,} gigs in {time.monotonic() - began:.1f} s." if number else "Everything was there already."
    console.print(text, markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
