"""`make seed`: fill an empty marketplace with a believable catalogue."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import urllib3
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.local.control import process_states
from deploy.local.layout import Layout
from deploy.local.seed import catalogue
from deploy.local.seed.api import Api, ApiError
from deploy.local.seed.seeding import Outcome, Seeding
from deploy.local.settings import StackSettings, explain

HELP = """\
Fill the marketplace of a running stack with a believable catalogue, through the public API alone: 40 gigs with
pictures, orders in every state, reviews with replies, conversations, and an offer. All people are local users; `make
token` prints their tokens. A second run makes only what is missing, so one that was broken off is continued. PORT and
DATA_DIR name the stack.
"""


class SeedError(Exception):
    """The seed cannot run; the text has the reason and the remedy."""


def check(settings: StackSettings) -> None:
    """Raise SeedError when there is no stack whose users the seed can be."""
    if settings.user_jwks is not None:
        raise SeedError(
            "USER_JWKS is set, so this deployment takes the tokens of its own issuer, and the seed's people have only "
            "local ones. Seed a stack without USER_JWKS"
        )
    if settings.payments != "sandbox":
        raise SeedError("PAYMENTS is not `sandbox`: the seed's orders would ask a real payment provider")
    if process_states(Layout.of(settings.data_dir).supervisor_socket) is None:
        raise SeedError(f"no stack is running on {settings.data_dir}. Start one with `make run`, in another terminal")


def progress_lines(console: Console) -> Progress:
    """Return a progress with a line a phase: a bar on a terminal, and nothing that moves elsewhere."""
    columns = (TextColumn("{task.description:<22}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def summary(outcome: Outcome, seconds: float, url: str) -> str:
    """Return what the run has done, in words."""
    changed = (
        f" Changed since, and left as it is: {', '.join(sorted(set(outcome.changed)))}." if outcome.changed else ""
    )
    if not outcome.steps:
        return f"The catalogue is there already; nothing was changed.{changed}"
    made = ", ".join(f"{number} {what}" for what, number in outcome.made.items())
    return (
        f"Made {made} in {seconds:.1f} s.{changed}\n"
        f"Have a look:  curl -s '{url}/api/gigs?q=website&sort=rating'\n"
        'What is said: curl -s -H "Authorization: Bearer $(make token ROLE=buyer NAME=bakery_anna)" '
        f"'{url}/api/conversations'\n"
        "Its people:   make token ROLE=seller NAME=devon_codes, ROLE=buyer NAME=bakery_anna, ROLE=admin NAME=seed_admin"
    )


def seed(settings: StackSettings, console: Console) -> Outcome:
    """Make what is missing. Raises SeedError, ApiError and urllib3's errors."""
    check(settings)
    planned = catalogue.load()
    with progress_lines(console) as progress:

        def report(phase: str, total: int) -> Callable[[], None]:
            task = progress.add_task(phase, total=total)
            return lambda: progress.advance(task)

        return Seeding(Api(settings.edge_url, settings.data_dir.absolute()), planned, report).run()


def main() -> int:
    """Run the seed. Return 1 when it cannot run or breaks off, 2 when a setting is wrong."""
    argparse.ArgumentParser(
        prog="python -m deploy.local.seed", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    try:
        settings = StackSettings()
    except ValidationError as error:
        sys.stderr.write("".join(f"seed: {line}\n" for line in explain(error)))
        return 2
    console, began = Console(highlight=False), time.monotonic()
    try:
        outcome = seed(settings, console)
    except SeedError as problem:
        sys.stderr.write(f"seed: {problem}\n")
        return 1
    except ApiError as error:
        hint = f"Is the stack of {settings.data_dir} on another PORT? " if error.status == 401 else ""
        sys.stderr.write(f"seed: {hint}The API refused a call, and another run continues here. {error}\n")
        return 1
    except urllib3.exceptions.HTTPError as error:
        sys.stderr.write(
            f"seed: {settings.edge_url} does not answer ({error}). Give the PORT of the stack: make seed PORT=8080\n"
        )
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("seed: broken off; another run continues here\n")
        return 1
    console.print(summary(outcome, time.monotonic() - began, settings.edge_url), soft_wrap=True, markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
