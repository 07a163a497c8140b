"""`python -m deploy.local run|doctor|status|check-media|check-books|outbox`."""

import argparse
import os
import subprocess
import sys

from pydantic import ValidationError

from deploy.local.control import process_states
from deploy.local.layout import Layout
from deploy.local.preflight import PreflightError, checks, exclusive
from deploy.local.run import run, say
from deploy.local.settings import StackSettings, explain
from deploy.local.supervise import database_urls, shared_environment
from servicekit.database import Database
from servicekit.outbox.console import RETRY_HELP, Retry, administer


def doctor(settings: StackSettings) -> int:
    """Show every check of the start; 1 when one of them fails. A stack that runs here is in its own way."""
    layout = Layout.of(settings.data_dir)
    failed = False
    for check in checks(settings, layout):
        try:
            say(f"ok      {check.name:<12} {check.look()}")
        except PreflightError as problem:
            failed = True
            say(f"FAILED  {check.name:<12} {problem}")
    try:
        with exclusive(layout):
            say(f"ok      {'lock':<12} no other stack uses this folder")
    except PreflightError as problem:
        failed = True
        say(f"FAILED  {'lock':<12} {problem}")
    return int(failed)


def status(settings: StackSettings) -> int:
    """List the processes of the stack on this DATA_DIR; 1 when there is none."""
    states = process_states(Layout.of(settings.data_dir).supervisor_socket)
    if states is None:
        say(f"no stack is running on {settings.data_dir}")
        return 1
    for process in states:
        say(f"{process.name:<12} {process.state:<10} {process.description}")
    return 0


def check_media(settings: StackSettings) -> int:
    """Look for images whose file is gone, with the settings of the stack's own processes; 1 when there is one."""
    layout = Layout.of(settings.data_dir)
    environment = shared_environment(settings, layout, os.environ)
    return subprocess.run([sys.executable, "-m", "gig_service.images.check"], env=environment, check=False).returncode


def check_books(settings: StackSettings) -> int:
    """Authorization orders, payments, ledger and payouts against each other and the provider's book; 1 when one differs."""
    environment = shared_environment(settings, Layout.of(settings.data_dir), os.environ)
    return subprocess.run([sys.executable, "-m", "order_service.reconciliation"], env=environment, check=False).returncode


def outbox(settings: StackSettings, retry: Retry | None = None) -> int:
    """Show what waits and what is parked in each service's outbox, after sending again what is to be.

    1 when there is no such parked row, 2 when a database could not be read.
    """
    urls = database_urls(settings, Layout.of(settings.data_dir))
    databases = {name: Database(urls[name]) for name in settings.workers}
    return administer(databases, retry, "make outbox RETRY=all, or an id, sends parked rows again")


def main() -> int:
    """0 when all went well, 1 when the stack could not do it, 2 when it was asked wrongly."""
    commands = {"run": run, "doctor": doctor, "status": status, "check-media": check_media, "check-books": check_books}
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local",
        description="The whole marketplace on one machine, for development. Settings come from the environment.",
    )
    parser.add_argument(
        "command",
        choices=[*commands, "outbox"],
        help="run: start everything and stay; doctor: show what a start would look at; status: list the processes; "
        "check-media: look for images whose file is gone; check-books: hold all books of the money against each other; "
        "outbox: show what services have yet to tell each other",
    )
    parser.add_argument("--retry", metavar="ID|all", type=Retry.parse, help=f"with outbox: {RETRY_HELP}")
    arguments = parser.parse_args()
    if arguments.retry is not None and arguments.command != "outbox":
        parser.error("--retry goes with outbox")
    try:
        settings = StackSettings()
    except ValidationError as error:
        for line in explain(error):
            sys.stderr.write(f"Cannot start: {line}\n")
        return 2
    if arguments.command == "outbox":
        return outbox(settings, arguments.retry)
    return commands[arguments.command](settings)


if __name__ == "__main__":
    sys.exit(main())
