"""What the stack knows of a user: `make export-user` and `make erase-user`.

Both run the commands of the services in turn. docs/privacy.md says what they find, and what stays.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg2

from deploy.local import postgres
from deploy.local.environment import of_commands
from deploy.local.erased_users import ErasedUsersFile
from deploy.local.layout import Layout
from deploy.local.output import say
from deploy.local.settings import StackSettings
from servicekit.erased_users import LOAD_SECONDS

# In place of an id: all users of the list of erased users.
LISTED = "listed"
# GigService first: then nobody can order any more.
SERVICES = ("gig", "review", "order")
# After this time all processes refuse the tokens of a closed account, and have finished what they had begun.
CLOSING_SECONDS = 2 * LOAD_SECONDS + 1

README = """\
What the marketplace knows of user {user}
Written at {now:%Y-%m-%d %H:%M:%S} UTC.

gig.json      the gigs with their packages and images, and the ratings that were given and received
images/       the pictures, as they were shown, a folder for each gig
order.json    orders as buyer and as seller with their histories, payouts, the balance, webhook endpoints
files/        the files that were uploaded, by their ids; order.json has their names
review.json   reviews that were written, and those that were received, with the replies

Each file has lists of records by their names. Amounts are in major units of their currency, times have a time zone.
Other people are there by their ids alone. Cards and bank accounts are with the payment provider.
"""


class CommandFailed(Exception):
    """A service's command failed; it has said why."""


class _Services:
    """The commands of the services."""

    def __init__(self, settings: StackSettings) -> None:
        self._settings = settings
        self._layout = Layout.of(settings.data_dir)

    def run(self, service: str, command: str, user: UUID, *options: str, text: str = "") -> int:
        """Run a command, whose output is shown. Return its status, 0 or 1. Raises CommandFailed."""
        status = self._run(service, command, user, options, text, None).returncode
        if status > 1:
            raise CommandFailed
        return status

    def read(self, service: str, command: str, user: UUID) -> tuple[int, str]:
        """Run a command. Return its status, 0 or 1, and its output. Raises CommandFailed."""
        done = self._run(service, command, user, (), "", subprocess.PIPE)
        if done.returncode > 1:
            raise CommandFailed
        return done.returncode, done.stdout

    def compact_statistics(self) -> None:
        """Write the planner's statistics of the embedded databases anew, without old samples of values.

        Raises CommandFailed.
        """
        for service in sorted(set(postgres.DATABASES) - set(self._settings.database_urls)):
            url = postgres.database_url(self._layout, postgres.DATABASES[service], postgres.SUPERUSER)
            try:
                with closing(psycopg2.connect(url, connect_timeout=5)) as connection:
                    connection.autocommit = True
                    connection.cursor().execute("VACUUM (FULL) pg_catalog.pg_statistic")
            except psycopg2.Error as error:
                say(f"The statistics of {service} cannot be written anew: {error}")
                raise CommandFailed from error

    def _run(
        self, service: str, command: str, user: UUID, options: Sequence[str], text: str, stdout: int | None
    ) -> subprocess.CompletedProcess[str]:
        environment = of_commands(service, self._settings, self._layout, os.environ)
        words = [sys.executable, "-m", f"{service}_service.personal_data", command, f"--user={user}", *options]
        return subprocess.run(words, env=environment, input=text, stdout=stdout, text=True, check=False)


def users(argument: str) -> UUID | None:
    """Read the id of a user; None for all users of the list. Raises argparse.ArgumentTypeError."""
    if argument == LISTED:
        return None
    try:
        return UUID(argument)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{argument!r} is not a user's id, a UUID") from None


def export_user(settings: StackSettings, user: UUID, out: Path | None) -> int:
    """Write all that is known of a user to a zip; return 1 when nothing is, 2 when it cannot be read."""
    target = (out or Path(f"user-{user}.zip")).absolute()
    services = _Services(settings)
    try:
        with tempfile.TemporaryDirectory(prefix="marketplace-export-") as name:
            folder = Path(name)
            _, sold = services.read("order", "sold", user)
            for service in SERVICES:
                say(f"Reading {service}")
                options, text = (("--sold",), sold) if service == "review" else ((), "")
                services.run(service, "export", user, f"--folder={folder}", *options, text=text)
            if all(path.read_text().strip() == "{}" for path in folder.glob("*.json")):
                say(f"Nothing is known of user {user}.")
                return 1
            (folder / "README.txt").write_text(README.format(user=user, now=datetime.now(UTC)))
            _pack(folder, target)
    except CommandFailed:
        return 2
    except OSError as error:
        say(f"The archive cannot be written: {error}")
        return 2
    say(f"All that is known of user {user} is in {target}")
    return 0


def _pack(folder: Path, target: Path) -> None:
    """Pack a folder into a zip that only its owner can read, whole or not at all. Raises OSError."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(folder))
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def erase_users(settings: StackSettings, user: UUID | None, *, compacts: bool) -> int:
    """Erase a user, or all users of the list. Return 1 when one of them cannot be erased yet, 2 when it failed."""
    listed = ErasedUsersFile(Layout.of(settings.data_dir).erased_users)
    try:
        chosen = listed.ids() if user is None else [user]
        if not chosen:
            say("The list of erased users is empty.")
        statuses = [_erase(settings, listed, each, compacts=compacts) for each in chosen]
    except CommandFailed:
        return 2
    except (OSError, ValueError) as error:
        say(f"The list of erased users cannot be used: {error}")
        return 2
    except KeyboardInterrupt:
        say("Interrupted. The same command goes on from here.")
        return 130
    return max(statuses, default=0)


def _erase(settings: StackSettings, listed: ErasedUsersFile, user: UUID, *, compacts: bool) -> int:
    services = _Services(settings)
    if _has_obstacles(services, user):
        return 1
    is_begun = user in listed.ids()
    were_open = [services.read(service, "close", user)[0] for service in SERVICES]
    if any(were_open):
        say(f"Closing the account of user {user}, which takes {CLOSING_SECONDS:.0f} s")
        time.sleep(CLOSING_SECONDS)
        # The user or others may have ordered meanwhile.
        if _has_obstacles(services, user):
            if not is_begun:
                for service in SERVICES:
                    services.run(service, "open", user)
            return 1
    listed.add(user)
    # Beside the backups too: these have the user, and may be all that is left one day.
    if settings.backup_folder.is_dir():
        ErasedUsersFile.beside(settings.backup_folder).add(user)
    _, sold = services.read("order", "sold", user)
    compact = ("--compact",) if compacts else ()
    for service in SERVICES:
        say(f"Erasing in {service}:")
        options, text = (("--sold",), sold) if service == "review" else ((), "")
        if services.run(service, "erase", user, *compact, *options, text=text):
            say("That has come meanwhile. Nobody can order any more: run the command again when it is settled.")
            return 1
    if compacts:
        services.compact_statistics()
    say(f"User {user} is erased. The id, amounts and times stay in the books; see docs/privacy.md for what else stays.")
    return 0


def _has_obstacles(services: _Services, user: UUID) -> bool:
    status, obstacles = services.read("order", "obstacles", user)
    if status:
        say(f"User {user} cannot be erased yet. To be settled before:\n{obstacles.rstrip()}")
    return bool(status)
