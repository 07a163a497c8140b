"""The embedded PostgreSQL comes up, comes back, and lets nobody in who has no business there."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg2
import pytest

from deploy.local.layout import SERVICES_GID, Layout
from deploy.local.postgres import SUPERUSER, create_databases, database_url
from tests.support.eventually import eventually

SECONDS = 60


class Server:
    """A launcher of PostgreSQL that tests start again."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.cluster = layout.postgres / "18"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "deploy.local.postgres", "--data-dir", str(self.layout.data_dir)]
        with self.layout.log("postgres").open("ab") as log:
            process = self.process = subprocess.Popen(command, stdout=log, stderr=log)

        def is_up() -> bool:
            try:
                create_databases(self.layout, ["gigs", "orders"])
            except psycopg2.OperationalError:
                if process.poll() is not None:
                    raise AssertionError(self.layout.log("postgres").read_text()) from None
                return False
            return True

        eventually(is_up, SECONDS)

    def end(self, number: signal.Signals = signal.SIGINT) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(SECONDS)

    def ask(self, statement: str, database: str = "gigs", role: str | None = None) -> list[tuple[object, ...]]:
        connection = psycopg2.connect(database_url(self.layout, database, role))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


@contextmanager
def a_server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="mkt pg %") as folder:  # 0700: also root's PostgreSQL has to get through
        layout = Layout.of(Path(folder) / "data")
        layout.create()
        server = Server(layout)
        yield server
        if server.process is not None and server.process.poll() is None:
            server.end()


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server that was never started."""
    with a_server() as server:
        yield server


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """Start a server that several tests ask and none touches."""
    with a_server() as server:
        server.start()
        yield server


def test_what_was_written_is_there_after_a_restart(server: Server) -> None:
    server.start()
    server.ask("create table t as select 1 as one")
    server.end()

    server.start()

    assert server.ask("table t") == [(1,)]


def test_a_cluster_of_an_earlier_version_gets_the_database_that_it_lacks(server: Server) -> None:
    server.start()
    server.ask("create table t as select 1 as one")
    superuser = psycopg2.connect(database_url(server.layout, "postgres", SUPERUSER))
    superuser.autocommit = True
    with superuser.cursor() as cursor:
        cursor.execute("drop database sandbox")
        cursor.execute("drop role sandbox")
    superuser.close()

    create_databases(server.layout)

    assert server.ask("select current_user::text", database="sandbox") == [("sandbox",)]
    assert server.ask("table t") == [(1,)]


def test_a_first_start_that_was_cut_off_is_begun_anew(server: Server) -> None:
    server.layout.postgres.mkdir(mode=0o700)
    unfinished = server.layout.postgres / "18.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    for path in (server.layout.postgres, unfinished, unfinished / "PG_VERSION"):
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)

    server.start()

    assert server.ask("select 1") == [(1,)]
    assert not unfinished.exists()


def test_a_killed_postmaster_is_back_at_the_first_try_though_a_backend_is_busy(server: Server) -> None:
    server.start()
    server.ask("create table t as select 1 as one")
    busy = threading.Thread(target=_compute_for_minutes, args=(server,))
    busy.start()
    eventually(lambda: server.ask("select true from pg_stat_activity where query like 'do %'"))
    assert server.process is not None
    orphans = psutil.Process(server.process.pid).children()
    server.end(signal.SIGKILL)

    server.start()

    assert server.ask("table t") == [(1,)]
    assert [orphan.pid for orphan in orphans if _runs(orphan)] == []
    busy.join(SECONDS)


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _compute_for_minutes(server: Server) -> None:
    with suppress(psycopg2.Error):
        server.ask("do $$ begin for i in 1 .. 2000000000 loop end loop; end $$")


def test_a_lock_whose_process_id_is_somebody_elses_now_is_no_obstacle(server: Server) -> None:
    server.start()
    server.end(signal.SIGKILL)
    lock = server.cluster / "postmaster.pid"
    with subprocess.Popen(["sleep", "30"], user=lock.stat().st_uid if os.geteuid() == 0 else None) as stranger:
        _, _, rest = lock.read_text().partition("\n")
        lock.write_text(f"{stranger.pid}\n{rest}")

        server.start()

        assert stranger.poll() is None
        stranger.kill()


def test_a_second_server_leaves_the_first_alone(running: Server) -> None:
    command = [sys.executable, "-m", "deploy.local.postgres", "--data-dir", str(running.layout.data_dir)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)

    assert second.returncode != 0
    assert "PostgreSQL is already running" in second.stderr
    assert running.ask("select 1") == [(1,)]


def test_a_service_reaches_no_database_but_its_own(running: Server) -> None:
    with pytest.raises(psycopg2.OperationalError, match="does not have CONNECT privilege"):
        running.ask("select 1", database="orders", role="gigs")
    assert running.ask("select rolsuper from pg_roles where rolname = current_user") == [(False,)]


def test_nobody_listens_on_tcp_and_nobody_else_may_enter(running: Server) -> None:
    assert running.ask("show listen_addresses") == [("",)]
    assert running.layout.postgres.stat().st_mode & 0o077 == 0
    # Under root the services have a group of their own, which may enter.
    assert running.layout.postgres_socket.stat().st_mode & 0o777 == (0o710 if os.geteuid() == 0 else 0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="without root all processes have one uid, and there are no passwords")
def test_under_root_a_role_needs_its_own_password_and_the_superuser_must_be_root(running: Server) -> None:
    of_orders = urlsplit(database_url(running.layout, "orders")).password
    own = database_url(running.layout, "gigs")
    without = own.replace(f":{urlsplit(own).password}@", "@")
    with pytest.raises(psycopg2.OperationalError, match="no password supplied"):
        psycopg2.connect(without)
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(without.replace("gigs@", f"gigs:{of_orders}@"))
    url = database_url(running.layout, "postgres", SUPERUSER)
    program = f"import psycopg2; from servicekit.privileges import drop; drop('65531:{SERVICES_GID}')"
    as_a_service = subprocess.run(
        [sys.executable, "-c", f"{program}; psycopg2.connect({url!r})"], capture_output=True, text=True, check=False
    )
    assert "peer authentication failed" in as_a_service.stderr.lower()


def test_letters_of_all_languages_are_letters(running: Server) -> None:
    (row,) = running.ask("select lower('ÉCOLE'), to_tsvector('simple', 'Привет, мир')::text")

    assert row == ("école", "'мир':2 'привет':1")


def test_it_goes_down_with_whoever_started_it(server: Server) -> None:
    command = (
        f"exec {sys.executable} -c 'import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(60)' "
    )
    launcher = [sys.executable, "-m", "deploy.local.postgres", "--data-dir", f"'{server.layout.data_dir}'"]
    with subprocess.Popen(["/bin/sh", "-c", command + " ".join(launcher)], stderr=subprocess.DEVNULL) as starter:
        eventually((server.layout.postgres_socket / ".s.PGSQL.5432").exists, SECONDS)
        postmaster = psutil.Process(psutil.Process(starter.pid).children()[0].pid)
        starter.kill()

    postmaster.wait(SECONDS)

    assert not (server.cluster / "postmaster.pid").exists()
