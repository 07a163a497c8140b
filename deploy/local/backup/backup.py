"""`make backup`: the databases at one moment, the files of images and of users, and the keys, while the stack runs.

One PostgreSQL has all databases, so its copy is one moment of all of them. Files are copied before and after it: a file
is stored before its row and deleted after its row, so each file of that moment is in one of the two copies.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
from psycopg2 import extensions

from deploy.local import archiving, postgres
from deploy.local.backup import catalog
from deploy.local.backup.catalog import BackupError, Info
from deploy.local.environment import EVENTS, of_service
from deploy.local.erased_users import ErasedUsersFile
from deploy.local.inherited import ROOT
from deploy.local.layout import Layout
from deploy.local.output import say
from deploy.local.settings import StackSettings
from servicekit import linux
from servicekit.progress import ShownProgress

# The storages, by their folders in a backup: a program that has the settings, and the module that copies the files.
STORES = {"media": ("gig", "gig_service.media.copies"), "files": (EVENTS, "order_service.files.copies")}

_MIGRATIONS = "select name from schema_migration order by name desc limit 1"


def back_up(settings: StackSettings) -> int:
    """Make a backup of the running stack, and remove those beyond BACKUP_KEEP. Return 1 when that is impossible."""
    try:
        refuse_other_servers(settings)
        layout = Layout.of(settings.data_dir)
        with _the_only_one(settings.backup_folder) as folder:
            began = time.monotonic()
            backup = _make(settings, layout, folder)
            ErasedUsersFile.beside(folder).take_from(ErasedUsersFile(layout.erased_users))
            info = Info.read(backup)
            sizes = ", ".join(f"{name} {size / 2**20:,.1f} MiB" for name, size in info.bytes.items())
            say(f"{backup}: the databases as of {info.ended:%Y-%m-%d %H:%M:%SZ}; {sizes}")
            say(f"Done after {time.monotonic() - began:.1f} s")
            _retire(folder, settings.backup_keep)
            if settings.archive:
                _prune(folder, settings.archive, info.system)
    except (BackupError, OSError, ValueError, psycopg2.Error) as error:
        say(f"No backup was made: {str(error).strip()}")
        return 1
    return 0


def refuse_other_servers(settings: StackSettings) -> None:
    """Refuse a stack with databases of other servers. Raises BackupError."""
    if settings.database_urls:
        names = ", ".join(f"{name.upper()}_DATABASE_URL" for name in settings.database_urls)
        raise BackupError(
            f"{names}: that server is not the stack's own. Back up and restore it with its own tools, and the images "
            "after it"
        )


def run_copies(store: str, settings: StackSettings, layout: Layout, *words: str) -> None:
    """Copy the files of a storage, with the settings of the program that uses it. Raises BackupError."""
    program, module = STORES[store]
    run([sys.executable, "-m", module, *words], of_service(program, settings, layout, os.environ))


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    """Run a command, whose output is shown. Raises BackupError when it fails."""
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise BackupError(f"{Path(command[0]).name} failed; its reason stands above")


@contextlib.contextmanager
def _the_only_one(folder: Path) -> Iterator[Path]:
    """Make the folder of backups and lock it. Raises BackupError when another backup is being made there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"another backup is being made in {folder}") from None
        catalog.remove_leftovers(folder)
        yield folder


def _make(settings: StackSettings, layout: Layout, folder: Path) -> Path:
    """Make a backup below another name, and give it its name when all of it is on the disk."""
    with _connect(layout, "postgres") as superuser:
        before = next((path for path in reversed(catalog.backups(folder)) if (path / catalog.SUMS).is_file()), None)
        while (target := folder / catalog.name_of(datetime.now(UTC))).exists():
            time.sleep(0.1)
        unfinished = folder / f".{target.name}{catalog.UNFINISHED}"
        unfinished.mkdir(mode=0o700)
        try:
            _fill(unfinished, before, settings, layout, superuser)
        except BaseException:
            shutil.rmtree(unfinished)
            raise
    linux.syncfs(unfinished)
    unfinished.rename(target)
    linux.syncfs(folder)
    return target


def _fill(
    backup: Path, before: Path | None, settings: StackSettings, layout: Layout, superuser: extensions.connection
) -> None:
    say("Copying the files")
    _copy_stores(backup, before, settings, layout)
    say("Copying the databases")
    began = _now(superuser)
    _copy_cluster(layout, backup / "postgres")
    ended = _now(superuser)
    say("Copying the files that came meanwhile")
    _copy_stores(backup, before, settings, layout)
    _copy_keys(layout, backup / "keys")
    info = _describe(backup, settings, layout, began, ended)
    (backup / catalog.INFO).write_text(info.to_json())
    catalog.write_sums(backup, before, ShownProgress())


def _copy_stores(backup: Path, before: Path | None, settings: StackSettings, layout: Layout) -> None:
    """Copy the files that the backup lacks; those of an earlier backup are linked."""
    for store in STORES:
        (backup / store).mkdir(exist_ok=True)
        known = ["--known", str(before / store)] if before else []
        run_copies(store, settings, layout, "--to", str(backup / store), *known)


def _connect(layout: Layout, database: str) -> contextlib.AbstractContextManager[extensions.connection]:
    """Connect to a database of the stack as the superuser. Raises BackupError when it does not run."""
    try:
        connection = psycopg2.connect(postgres.database_url(layout, database, postgres.SUPERUSER), connect_timeout=5)
    except psycopg2.OperationalError as error:
        raise BackupError(f"no PostgreSQL is running on {layout.data_dir} ({str(error).strip()})") from error
    connection.autocommit = True
    return contextlib.closing(connection)


def _now(connection: extensions.connection) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        row = cursor.fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment.astimezone(UTC)


def _copy_cluster(layout: Layout, target: Path) -> None:
    program = str(postgres.programs() / "pg_basebackup")
    url = postgres.database_url(layout, "postgres", postgres.SUPERUSER)
    # The log that is written meanwhile comes by a connection of its own, so that nothing of it can be gone at the end.
    options = ["--wal-method=stream", "--checkpoint=fast", "--manifest-checksums=SHA256", "--no-sync"]
    run([program, "-d", url, "-D", str(target), *options, *(["--progress"] if sys.stderr.isatty() else [])])


def _copy_keys(layout: Layout, target: Path) -> None:
    target.mkdir(mode=0o700)
    for key in (layout.data_dir / "keys").iterdir():
        if key.is_file() and not key.name.startswith("."):
            shutil.copy2(key, target)


def _describe(backup: Path, settings: StackSettings, layout: Layout, began: datetime, ended: datetime) -> Info:
    label = dict(line.split(": ", 1) for line in (backup / "postgres" / "backup_label").read_text().splitlines())
    manifest = json.loads((backup / "postgres" / catalog.MANIFEST).read_text())
    version = subprocess.run([str(postgres.programs() / "postgres"), "--version"], capture_output=True, check=True)
    return Info(
        began=began,
        ended=ended,
        product=str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]),
        postgres=version.stdout.decode().split()[2],
        system=str(manifest["System-Identifier"]),
        timeline=int(label["START TIMELINE"]),
        first_wal=label["START WAL LOCATION"].partition("(file ")[2].rstrip(")"),
        settings={"CURRENCY": settings.currency, "PAYMENTS": settings.payments},
        migrations={service: _newest_migration(layout, service) for service in postgres.DATABASES},
        bytes={name: catalog.size_of(backup / name) for name in ("postgres", *STORES)},
    )


def _newest_migration(layout: Layout, service: str) -> str:
    """Return the name of the newest migration of a database; empty before the first one."""
    with _connect(layout, postgres.DATABASES[service]) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(_MIGRATIONS)
        except psycopg2.errors.UndefinedTable:
            return ""
        row = cursor.fetchone()
        return str(row[0]) if row else ""


def _retire(folder: Path, keep: int) -> None:
    """Remove the oldest backups, so that no more than so many are left."""
    for backup in catalog.backups(folder)[:-keep]:
        catalog.remove(backup)
        say(f"{backup.name} is removed: {keep} newer ones are kept")


def _prune(folder: Path, archive: str, system: str) -> None:
    """Remove files of the archived log that no backup of this cluster needs any more."""
    try:
        infos = [Info.read(backup) for backup in catalog.backups(folder)]
        # Places in the log grow over all timelines.
        needed = min((info.first_wal for info in infos if info.system == system), key=lambda name: name[8:])
        removed = archiving.prune(archive, system, needed)
    except (BackupError, OSError) as error:
        say(f"note: the archived log stays as it is: {error}")
        return
    if removed:
        say(f"{removed:,} files of the archived log are removed: no backup needs them")
