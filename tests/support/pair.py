"""A PostgreSQL primary and its streaming standby, each in a folder of its own, for tests of failing over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg2

from deploy.local.layout import Layout
from deploy.local.postgres import MAJOR_VERSION, SUPERUSER, database_url, identity_for, programs
from deploy.local.privileges import become
from tests.support.eventually import eventually
from tests.support.folders import temporary_folder
from tests.support.postgres import PostgresServer

START_SECONDS = 120


@contextmanager
def a_pair() -> Iterator[Pair]:
    """Run two servers for the block, which may kill the primary."""
    pair = Pair()
    try:
        yield pair.start()
    finally:
        pair.stop()


class Pair:
    """The two servers. `url` has both hosts, as a service of several hosts has them."""

    def __init__(self) -> None:
        self.primary = PostgresServer()
        self._folder = temporary_folder()
        self.standby = Layout.of(Path(self._folder.name) / "data")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Pair:
        """Start the primary, copy it, and start the standby."""
        self.primary.start()
        layout = self.primary.layout
        self._as_superuser(layout, f"ALTER SYSTEM SET primary_conninfo = 'host={layout.postgres_socket} user=postgres'")
        rules = layout.postgres / MAJOR_VERSION / "pg_hba.conf"
        rules.write_text("local replication postgres trust\n" + rules.read_text())
        self._as_superuser(layout, "SELECT pg_reload_conf()")
        self.standby.create()
        cluster = self.standby.postgres / MAJOR_VERSION
        identity = identity_for(self.standby)
        backup = [str(programs() / "pg_basebackup"), "-D", str(cluster), "-h", str(layout.postgres_socket)]
        backup += ["-U", SUPERUSER, "--checkpoint=fast", "--no-sync"]
        subprocess.run(backup, preexec_fn=lambda: become(identity), check=True, capture_output=True)
        (cluster / "standby.signal").touch()
        os.chown(cluster / "standby.signal", identity.uid, identity.gid)
        self.start_standby()
        return self

    def start_standby(self) -> None:
        """Start the standby, and wait until it answers."""
        command = [sys.executable, "-m", "deploy.local.postgres", "--data-dir", str(self.standby.data_dir)]
        with (self.standby.logs / "postgres.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        eventually(self._standby_answers, START_SECONDS)

    def stop_standby(self) -> None:
        """Stop the standby at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(60)
            self._process = None

    def stop(self) -> None:
        """Stop both and remove everything."""
        self.stop_standby()
        self.primary.stop()
        self._folder.cleanup()

    def url(self, service: str, name: str) -> str:
        """Return the URL, with both hosts, of a new and empty database."""
        parts = urlsplit(self.primary.empty(service, name))
        hosts = ",".join(quote(str(each), safe="") for each in self.hosts)
        # The standby has it when it has replayed what the primary has written.
        eventually(lambda: self._has_replayed(name), START_SECONDS)
        return f"postgresql://{parts.netloc}{parts.path}?host={hosts}&port=5432,5432"

    @property
    def hosts(self) -> tuple[str, str]:
        """The hosts as libpq names them: the folders of the sockets, the primary's first."""
        return str(self.primary.layout.postgres_socket), str(self.standby.postgres_socket)

    def promote(self) -> None:
        """Make the standby the primary."""
        self._as_superuser(self.standby, "SELECT pg_promote()")

    def ask_standby(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Return the rows of a statement that the standby runs."""
        return self._as_superuser(self.standby, statement, database)

    def ask_primary(self, statement: str) -> list[tuple[object, ...]]:
        """Return the rows of a statement that the primary runs."""
        return self._as_superuser(self.primary.layout, statement)

    def _standby_answers(self) -> bool:
        try:
            return bool(self.ask_standby("SELECT 1"))
        except psycopg2.OperationalError:
            return False

    def _has_replayed(self, name: str) -> bool:
        return bool(self.ask_standby(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"))

    def _as_superuser(self, layout: Layout, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        connection = psycopg2.connect(database_url(layout, database, SUPERUSER), connect_timeout=5)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()
