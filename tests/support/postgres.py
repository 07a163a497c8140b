"""A real PostgreSQL for tests: one server for each process of tests, a fresh and migrated database for each test."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg2
from psycopg2 import sql

from deploy.local.layout import Layout
from deploy.local.postgres import DATABASES, SUPERUSER, create_databases, database_url
from order_service.payments.sandbox.gateway import MIGRATIONS as SANDBOX_MIGRATIONS
from servicekit.database import Database
from servicekit.migrations import migrate
from tests.support.eventually import eventually
from tests.support.folders import temporary_folder

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120


def migrations_of(service: str) -> Path:
    """Return the folder of a service's migrations: `gig`, `order` or `review`; or of the `sandbox`."""
    if service == "sandbox":
        return SANDBOX_MIGRATIONS
    return ROOT / f"{service}_service" / "migrations"


def url_of(database: Database) -> str:
    """Return the URL of a connected database, for another process."""
    info = database.peewee.connection().info
    user = f"{info.user}:{info.password}" if info.password else info.user
    return f"postgresql://{user}@/{info.dbname}?host={quote(info.host, safe='')}&port={info.port}"


# Nobody needs the data of tests after a crash of the machine. What is committed outlives a killed server all the same.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
}


class PostgresServer:
    """The stack's own PostgreSQL, started alone in a folder of its own."""

    def __init__(self) -> None:
        self._folder = temporary_folder()
        self.layout = Layout.of(Path(self._folder.name) / "data")
        self._numbers = count(1)
        self._migrated: set[str] = set()
        self._made: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers. Raises RuntimeError with its log when it ends."""
        command = [sys.executable, "-m", "deploy.local.postgres", "--data-dir", str(self.layout.data_dir)]
        self.layout.create()
        log = self.layout.logs / "postgres.log"
        with log.open("wb") as output:
            process = self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

        def is_up() -> bool:
            try:
                create_databases(self.layout)
            except psycopg2.OperationalError:
                if process.poll() is not None:
                    raise RuntimeError(log.read_text()) from None
                return False
            return True

        eventually(is_up, START_SECONDS)
        self._connection = psycopg2.connect(database_url(self.layout, "postgres", SUPERUSER))
        self._connection.autocommit = True
        for name, value in _SETTINGS.items():
            self._execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        self._execute(sql.SQL("SELECT pg_reload_conf()"))

    def stop(self) -> None:
        """Stop the server and remove everything."""
        if self._process is not None:
            # At once, without writing out what is thrown away: a clean shutdown can take over ten seconds.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(60)
        self._folder.cleanup()

    def kill(self) -> None:
        """Stop the server at once, and keep its folder."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(60)

    def set(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        self._execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        self._execute(sql.SQL("SELECT pg_reload_conf()"))

    @property
    def made(self) -> tuple[str, ...]:
        """The databases that `fresh` and `empty` have made and `drop` has not removed."""
        return tuple(self._made)

    def fresh(self, service: str) -> str:
        """Return the URL of a new database of a service, migrated and otherwise empty."""
        owner = DATABASES[service]
        template = f"{owner}_template"
        if service not in self._migrated:
            self.empty(service, template)
            self._made.remove(template)
            database = Database(database_url(self.layout, template, owner))
            migrate(database, migrations_of(service))
            database.close()
            self._migrated.add(service)
        return self.empty(service, f"{owner}_{next(self._numbers)}", template)

    def copy(self, service: str, url: str) -> str:
        """Return the URL of a copy of a database of this server, whose connections are ended first."""
        source = urlsplit(url).path.removeprefix("/")
        self._execute(
            sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(
                sql.Literal(source)
            )
        )
        return self.empty(service, f"{source}_copy_{next(self._numbers)}", source)

    def empty(self, service: str, name: str, template: str = "template1") -> str:
        """Return the URL of a new database with the template's contents and nothing else."""
        owner = DATABASES[service]
        self._execute(
            # Files are copied in half the time that their pages take through the log.
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(owner), sql.Identifier(template)
            )
        )
        self._made.append(name)
        return database_url(self.layout, name, owner)

    def drop(self, name: str) -> None:
        """Remove a database, and end the connections to it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._made.remove(name)

    def _execute(self, statement: sql.Composable) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
