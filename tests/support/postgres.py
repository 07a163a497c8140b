"""A real PostgreSQL for tests: one server a run, a fresh and migrated database a test."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from deploy.local.layout import Layout
from deploy.local.postgres import DATABASES, SUPERUSER, create_databases, database_url
from order_service.payments.sandbox.gateway import MIGRATIONS as SANDBOX_MIGRATIONS
from servicekit.database import Database
from servicekit.migrations import migrate

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30


def migrations_of(service: str) -> Path:
    """The folder of a service's migrations: `gig`, `order` or `review`; or of the `sandbox`."""
    if service == "sandbox":
        return SANDBOX_MIGRATIONS
    return ROOT / f"{service}_service" / "migrations"


def url_of(database: Database) -> str:
    """The URL of a database that is connected to, for another process."""
    info = database.peewee.connection().info
    return f"postgresql://{info.user}@/{info.dbname}?host={quote(info.host, safe='')}&port={info.port}"


class PostgresServer:
    """The stack's own PostgreSQL, started alone in a folder of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mkt-")
        self.layout = Layout.of(Path(self._folder.name) / "data")
        self._numbers = count(1)
        self._migrated: set[str] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers."""
        # Passable for the uid that PostgreSQL gets under root.
        Path(self._folder.name).chmod(0o711)
        command = [sys.executable, "-m", "deploy.local.postgres", "--data-dir", str(self.layout.data_dir)]
        self.layout.create()
        log = (self.layout.logs / "postgres.log").open("wb")
        self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return create_databases(self.layout)
            except psycopg2.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.layout.logs / "postgres.log").read_text()) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stops it and removes everything."""
        if self._process is not None:
            # At once, without writing out what is thrown away: a clean shutdown can take over ten seconds.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(10)
        self._folder.cleanup()

    def fresh(self, service: str) -> str:
        """The URL of a new database of a service, migrated and otherwise empty."""
        owner = DATABASES[service]
        template = f"{owner}_template"
        if service not in self._migrated:
            self.empty(service, template)
            database = Database(database_url(self.layout, template, owner))
            migrate(database, migrations_of(service))
            self._migrated.add(service)
        return self.empty(service, f"{owner}_{next(self._numbers)}", template)

    def empty(self, service: str, name: str, template: str = "template1") -> str:
        """The URL of a new database with nothing in it but what the template has."""
        owner = DATABASES[service]
        connection = psycopg2.connect(database_url(self.layout, "postgres", SUPERUSER))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                        sql.Identifier(name), sql.Identifier(owner), sql.Identifier(template)
                    )
                )
        finally:
            connection.close()
        return database_url(self.layout, name, owner)
