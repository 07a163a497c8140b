"""`python -m deploy.local COMMAND`: the commands of the local stack; `make help` has a target for each."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

from pydantic import ValidationError

from deploy.local.backup.backup import back_up
from deploy.local.backup.restore import Request, moment, restore
from deploy.local.control import process_states
from deploy.local.debug import debug
from deploy.local.environment import EDGE, EVENTS, database_urls, of_service
from deploy.local.exposure import notes
from deploy.local.layout import Layout
from deploy.local.lock import PreflightError, exclusive
from deploy.local.logs import show_logs
from deploy.local.machine import machine_checks
from deploy.local.output import say
from deploy.local.personal_data import LISTED, erase_users, export_user, users
from deploy.local.ports import SERVICES
from deploy.local.postgres import DATABASES
from deploy.local.preflight import checks
from deploy.local.psql import open_psql
from deploy.local.restart import restart
from deploy.local.scrape_config import scrape_config
from deploy.local.settings import StackSettings, explain
from deploy.local.trace import Query, milliseconds, trace, trace_id
from servicekit.database import Database
from servicekit.outbox.console import RETRY_HELP, Retry, administer

# A command takes the settings and the command line's options, and returns the status to exit with.
_Command = Callable[[StackSettings, argparse.Namespace], int]


def doctor(settings: StackSettings) -> int:
    """Print the result of every check of the start; return 1 when one fails. A running stack fails its own checks."""
    layout = Layout.of(settings.data_dir)
    failed = False
    for check in (*checks(settings, layout), *machine_checks(settings, layout)):
        try:
            say(f"ok      {check.name:<12} {check.run()}")
        except PreflightError as problem:
            failed = True
            say(f"FAILED  {check.name:<12} {problem}")
    try:
        with exclusive(layout):
            say(f"ok      {'lock':<12} no other stack uses this folder")
    except PreflightError as problem:
        failed = True
        say(f"FAILED  {'lock':<12} {problem}")
    for note in notes(settings):
        say(f"note    {'EDGE_HOST':<12} {note}")
    return int(failed)


def status(settings: StackSettings) -> int:
    """List the processes of the stack on this DATA_DIR; return 1 when there is none."""
    states = process_states(Layout.of(settings.data_dir).supervisor_socket)
    if states is None:
        say(f"no stack is running on {settings.data_dir}")
        return 1
    for process in states:
        say(f"{process.name:<12} {process.state:<10} {process.description}")
    return 0


def print_scrape_config(settings: StackSettings) -> int:
    """Print Prometheus's configuration for a stack with these settings."""
    say(scrape_config(settings))
    return 0


def check_media(settings: StackSettings) -> int:
    """Look for images and files that the storage lacks, with the settings of the stack's own processes.

    Return 1 when there are any, 2 when it cannot be told.
    """
    programs = {"gig": "gig_service.images.check", EVENTS: "order_service.files.check"}
    return max(_run_module(program, module, settings) for program, module in programs.items())


def check_books(settings: StackSettings, since: str | None, until: str | None) -> int:
    """Compare orders, payments, ledger, payouts and the provider's records; return 1 when there is a difference."""
    return _run_module("order", "order_service.reconciliation", settings, _given(since=since, until=until))


def repair_ratings(settings: StackSettings, *, dry_run: bool) -> int:
    """Compare ratings with the reviews and repair them; return 1 when there is a difference."""
    return _run_module("review", "review_service.repair_ratings", settings, ["--dry-run"] if dry_run else [])


def report(settings: StackSettings, first: str, last: str, out: str | None) -> int:
    """Write the money report; return 1 when its columns do not add up, 2 when there is none."""
    return _run_module(
        "order", "order_service.money_report", settings, _given(**{"from": first, "to": last, "out": out})
    )


def attempts(settings: StackSettings, drop: str | None = None, retry: str | None = None) -> int:
    """List the calls to the payment provider that are not finished, and give one up or retry it."""
    return _run_module("order", "order_service.attempts", settings, _given(drop=drop, retry=retry))


def _run_module(service: str, module: str, settings: StackSettings, arguments: Sequence[str] = ()) -> int:
    """Run a module with the environment of a service's worker, as the user who calls."""
    environment = of_service(service, settings, Layout.of(settings.data_dir), os.environ)
    return subprocess.run([sys.executable, "-m", module, *arguments], env=environment, check=False).returncode


def _given(**options: str | None) -> list[str]:
    """Return the options that have a value, as they stand on a command line."""
    return [f"--{name}={value}" for name, value in options.items() if value is not None]


def outbox(settings: StackSettings, retry: Retry | None = None) -> int:
    """Send parked rows again where `retry` says so; then show the waiting and the parked rows of each outbox.

    Return 1 when there is no such parked row, 2 when a database could not be read.
    """
    urls = database_urls(settings, Layout.of(settings.data_dir))
    databases = {name: Database(urls[name]) for name in settings.workers}
    return administer(databases, retry, "make outbox RETRY=all, or an id, sends parked rows again")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local",
        description="The whole marketplace on one machine, for development. Settings come from the environment.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, description: str, command: _Command) -> argparse.ArgumentParser:
        subparser = commands.add_parser(name, help=description, description=description)
        subparser.set_defaults(command=command)
        return subparser

    add("doctor", "print the result of every check of the start", lambda settings, _: doctor(settings))
    add("status", "list the processes", lambda settings, _: status(settings))

    logs = add("logs", "follow the logs", lambda settings, options: show_logs(settings, options.service))
    logs.add_argument("--service", help="a service or a process instead of all: order, gig-0, envoy, postgres")

    traces = add(
        "trace",
        "show the last requests of a stack with TRACES=on as trees",
        lambda settings, options: trace(
            settings,
            Query(options.last, options.errors, options.slower_than, options.id or "", options.background),
        ),
    )
    traces.add_argument("--last", metavar="N", type=int, default=Query.last, help="how many, by default 5")
    traces.add_argument("--errors", action="store_true", help="only those with an error: a status from 400 on, a fault")
    traces.add_argument(
        "--slower-than",
        type=milliseconds,
        default="0ms",
        metavar="TIME",
        help="only those that took longer: 100ms, 1.5s",
    )
    traces.add_argument("--id", type=trace_id, help="the begin of a trace's id, or an X-Request-Id")
    traces.add_argument("--background", action="store_true", help="also deliveries and periodic tasks")

    add(
        "scrape-config",
        "print Prometheus's configuration for this stack",
        lambda settings, _: print_scrape_config(settings),
    )

    psql = add(
        "psql", "open psql on a database", lambda settings, options: open_psql(settings, options.service, options.words)
    )
    psql.add_argument("--service", required=True, choices=[*DATABASES], help="the service whose database it is")
    psql.add_argument("words", nargs="*", help="arguments for psql, after --")

    workers = add(
        "restart",
        "replace the processes one after the other, without a failed request",
        lambda settings, options: restart(settings, options.service),
    )
    workers.add_argument("--service", choices=[*SERVICES, EDGE], help="a service, or the edge, instead of all")

    worker = add(
        "debug",
        "run the first worker of a service on this terminal, in place of the stack's own",
        lambda settings, options: debug(settings, options.service),
    )
    worker.add_argument("--service", required=True, choices=SERVICES, help="the service")

    add("backup", "copy the databases, images and keys of a running stack", lambda settings, _: back_up(settings))
    restored = add(
        "restore",
        "make a stack of a backup, in an empty DATA_DIR",
        lambda settings, options: restore(
            settings,
            Request(options.backup, options.to, options.archive, options.timeline, options.media, options.files),
        ),
    )
    restored.add_argument("--backup", metavar="NAME", help="its path, or its name in BACKUP_DIR; by default the newest")
    restored.add_argument(
        "--to", type=moment, metavar="TIME|latest", help="the moment, as 2026-11-29 12:00:00Z; by default the backup's"
    )
    restored.add_argument("--archive", metavar="WHERE", help="the archived log to read; by default that of WAL_ARCHIVE")
    restored.add_argument("--timeline", type=int, metavar="N", help="a timeline of the log; by default the newest")
    restored.add_argument("--media", metavar="FOLDER", type=Path, help="take images that the backup lacks from here")
    restored.add_argument("--files", metavar="FOLDER", type=Path, help="take files that the backup lacks from here")

    add("check-media", "list images and files that the storage lacks", lambda settings, _: check_media(settings))
    books = add(
        "check-books",
        "compare orders, payments, ledger, payouts and the provider's records",
        lambda settings, options: check_books(settings, options.since, options.until),
    )
    books.add_argument("--since", metavar="TIME", help="the begin of the window instead of the last clean check")
    books.add_argument("--until", metavar="TIME", help="the end of the window instead of now")

    ratings = add(
        "repair-ratings",
        "compare the ratings of gigs with their reviews, and repair them",
        lambda settings, options: repair_ratings(settings, dry_run=options.dry_run),
    )
    ratings.add_argument("--dry-run", action="store_true", help="report the differences, and repair nothing")

    money = add(
        "report",
        "write a CSV of money by day",
        lambda settings, options: report(settings, options.first, options.last, options.out),
    )
    money.add_argument("--from", dest="first", metavar="DATE", required=True, help="the first day, in UTC")
    money.add_argument("--to", dest="last", metavar="DATE", required=True, help="the last day, included")
    money.add_argument("--out", metavar="FILE", help="the file to write, stdout by default")

    open_attempts = add(
        "attempts",
        "show unfinished calls to the payment provider",
        lambda settings, options: attempts(settings, options.drop, options.retry),
    )
    open_attempts.add_argument("--drop", metavar="ORDER", help="give this order's placing up")
    open_attempts.add_argument("--retry", metavar="ORDER|all", help="ask the provider now")

    archive = add(
        "export-user",
        "write all that is known of a user to a zip",
        lambda settings, options: export_user(settings, options.user, options.out),
    )
    archive.add_argument("--user", metavar="UUID", type=UUID, required=True, help="the user's id")
    archive.add_argument("--out", metavar="FILE", type=Path, help="the file to write, user-<id>.zip by default")

    erasure = add(
        "erase-user",
        "erase what is known of a user; the books stay",
        lambda settings, options: erase_users(settings, options.user, compacts=options.compact),
    )
    erasure.add_argument("--user", metavar=f"UUID|{LISTED}", type=users, required=True, help="the user's id")
    erasure.add_argument("--compact", action="store_true", help="also write the tables' files anew, without old rows")

    rows = add("outbox", "show undelivered outbox rows", lambda settings, options: outbox(settings, options.retry))
    rows.add_argument("--retry", metavar="ID|all", type=Retry.parse, help=RETRY_HELP)
    return parser


def main() -> int:
    """Run a command. Return 0 when it succeeds, 1 when the stack cannot do it, 2 when the request is wrong."""
    options = _parser().parse_args()
    try:
        settings = StackSettings()
    except ValidationError as error:
        for line in explain(error):
            sys.stderr.write(f"Cannot start: {line}\n")
        return 2
    command: _Command = options.command
    return command(settings, options)


if __name__ == "__main__":
    sys.exit(main())
