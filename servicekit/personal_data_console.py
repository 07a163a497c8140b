"""`python -m <service>.personal_data COMMAND`: what a service knows of a user, as an archive, and its erasure.

`make export-user` and `make erase-user` run the commands of all services in their order; see docs/privacy.md. The exit
status is 1 when something stands against an erasure, and 2 when it could not be done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol
from uuid import UUID

import orjson

from servicekit.console import run_command
from servicekit.database import Database
from servicekit.erased_users import Accounts
from servicekit.personal_data import Erased
from servicekit.progress import Progress

# Statements over all rows of a user who has many.
STATEMENT_TIMEOUT_MS = 600_000


class UserData(Protocol):
    """What a service has of users. `sold` are the orders that the user has sold; only ReviewService needs them."""

    def obstacles(self, user_id: UUID) -> list[str]:
        """Return the reasons for which the user cannot be erased now, as lines for an operator."""
        ...

    def sold(self, user_id: UUID) -> Iterable[UUID]:
        """Return the orders that the user has sold."""
        ...

    def archive(self, user_id: UUID, sold: Sequence[UUID], folder: Path) -> Iterable[tuple[str, list[str]]]:
        """Yield records with their rows as JSON; write files into the folder."""
        ...

    def erase(self, user_id: UUID, sold: Sequence[UUID], progress: Progress) -> Iterable[Erased]:
        """Erase everything, and yield what was done."""
        ...

    def forget_samples(self, *, compacts: bool) -> None:
        """Remove what PostgreSQL keeps of old rows; see PersonalData."""
        ...


def main(service: str, database: Database, data: UserData, arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status. `service` is the name of its file in the archive."""
    options = _parser(service).parse_args(arguments)
    return run_command(
        lambda progress: _run(service, options, Accounts(database), data, progress),
        failed=f"{options.command} failed",
        interrupted="The same command goes on from here.",
    )


def _run(service: str, options: argparse.Namespace, accounts: Accounts, data: UserData, progress: Progress) -> int:
    user: UUID = options.user
    match options.command:
        case "obstacles":
            return _show_obstacles(data.obstacles(user))
        case "close":
            return int(accounts.close(user))
        case "open":
            accounts.open(user)
        case "sold":
            for order_id in data.sold(user):
                print(order_id)
        case "export":
            _write(options.folder / f"{service}.json", data.archive(user, _read_sold(options), options.folder))
        case "erase":
            return _erase(user, options, accounts, data, progress)
    return 0


def _show_obstacles(obstacles: Sequence[str]) -> int:
    for obstacle in obstacles:
        print(f"  {obstacle}")
    return int(bool(obstacles))


def _erase(user: UUID, options: argparse.Namespace, accounts: Accounts, data: UserData, progress: Progress) -> int:
    if not accounts.is_closed(user):
        print("The account is not closed; close it first, and wait some seconds.", file=sys.stderr)
        return 2
    if obstacles := data.obstacles(user):
        return _show_obstacles(obstacles)
    rows = 0
    for erased in data.erase(user, _read_sold(options), progress):
        if erased.rows:
            print(f"  {erased.rows:>8,}  {erased.name.replace('_', ' ')}")
        rows += erased.rows
    if rows or options.compact:
        data.forget_samples(compacts=options.compact)
    if not rows:
        print("         0  nothing was left to erase")
    return 0


def _read_sold(options: argparse.Namespace) -> list[UUID]:
    return [UUID(line.strip()) for line in sys.stdin] if options.sold else []


def _write(path: Path, records: Iterable[tuple[str, list[str]]]) -> None:
    rows = {name: [orjson.Fragment(row) for row in each] for name, each in records}
    path.write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _parser(service: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {service}_service.personal_data",
        description="What this service knows of a user, and its erasure. An interrupted command can be run again.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, description: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=description, description=description)
        command.add_argument("--user", metavar="UUID", type=UUID, required=True, help="the user's id")
        return command

    add("obstacles", "list what must be settled before the user can be erased; exit with 1 when there is something")
    add("close", "refuse the user's tokens; exit with 1 when they were taken until now")
    add("open", "take the user's tokens again, when nothing was erased")
    add("sold", "print the ids of the orders that the user has sold, for ReviewService's commands")
    for command in (add("export", "write what is known of the user"), add("erase", "erase the user's data")):
        command.add_argument("--sold", action="store_true", help="read the ids of the orders sold from stdin")
        if command.prog.endswith("export"):
            command.add_argument("--folder", type=Path, required=True, help="the folder to write to")
        else:
            command.add_argument("--compact", action="store_true", help="also write the tables' files anew")
    return parser
