"""`make restore`: a backup becomes the stack of an empty DATA_DIR, at the moment of the backup or a later one."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from deploy.local import postgres
from deploy.local.backup import catalog
from deploy.local.backup.backup import STORES, refuse_other_servers, run, run_copies
from deploy.local.backup.catalog import BackupError, Info
from deploy.local.backup.recovery import Target, recover
from deploy.local.erased_users import ErasedUsersFile
from deploy.local.inherited import ROOT
from deploy.local.layout import Layout
from deploy.local.lock import PreflightError, exclusive
from deploy.local.output import say
from deploy.local.restore_mark import restore_mark
from deploy.local.settings import StackSettings, archive_place
from servicekit import linux
from servicekit.progress import ShownProgress

LATEST = "latest"
# The first start of a stack removes a folder of this name, should it find one.
_UNFINISHED = f"{postgres.MAJOR_VERSION}.unfinished"
NEXT = """\
Next, in this order (docs/backup.md#after-a-restore):
  make run                            starts the stack; then, beside it:
  make check-media                    names the images and files that the storage lacks
  make check-books SINCE=beginning    names payments and payouts that are newer than this moment
  make repair-ratings                 compares the ratings with the reviews, and mends them
  make outbox                         shows what is still to be sent; some of it was sent before"""


@dataclass(frozen=True)
class Request:
    """What somebody asks to be restored.

    A backup, by default the newest that the moment allows; the moment, or `latest` for all that is archived, by default
    the backup's own; the archive to read, by default the one that the stack writes; a timeline, by default the newest;
    and folders with further images and files.
    """

    backup: str | None = None
    to: datetime | str | None = None
    archive: str | None = None
    timeline: int | None = None
    media: Path | None = None
    files: Path | None = None


def moment(text: str) -> datetime | str:
    """Return the moment that a text names, UTC unless it says otherwise. Raises ValueError."""
    if text == LATEST:
        return text
    read = datetime.fromisoformat(text)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def restore(settings: StackSettings, request: Request) -> int:
    """Restore a backup into an empty DATA_DIR. Return 1 when that is impossible."""
    layout = Layout.of(settings.data_dir)
    try:
        refuse_other_servers(settings)
        backup = _find(settings.backup_folder, request)
        info = Info.read(backup)
        _check_release(backup, info)
        target = _target(settings, info, request)
        _check_empty(layout)
        say(f"Checking {backup}: the databases as of {info.ended:%Y-%m-%d %H:%M:%SZ}")
        catalog.check_sums(backup, ShownProgress())
        with exclusive(layout):
            restore_mark(layout).touch()
            try:
                _restore(settings, layout, backup, request, target)
                erased = _take_erased_users(layout, {backup.parent, settings.backup_folder})
            finally:
                layout.remove_sockets()
            restore_mark(layout).unlink()
    except (BackupError, PreflightError, OSError, ValueError) as error:
        say(f"Not restored: {error}")
        return 1
    for name, value in info.settings.items():
        if value != (present := str(getattr(settings, name.lower()))):
            say(f"note: the backup was made with {name}={value}, and now it is {present}")
    say(NEXT)
    if erased:
        say(f"  make erase-user USER=listed         erases the {len(erased)} users again whom a backup may bring back")
    return 0


def _find(folder: Path, request: Request) -> Path:
    """Return the backup that is asked for: a path, or a name in the folder of backups. Raises BackupError."""
    found = catalog.backups(folder)
    if request.backup:
        path = Path(request.backup).expanduser()
        return path if path.is_dir() else folder / request.backup
    if not found:
        raise BackupError(f"{folder} has no backup; BACKUP= or BACKUP_DIR= names another place")
    if isinstance(request.to, datetime):
        found = [path for path in found if Info.read(path).ended <= request.to]
        if not found:
            raise BackupError(f"{folder} has no backup from before {request.to:%Y-%m-%d %H:%M:%SZ}")
    return found[-1]


def _target(settings: StackSettings, info: Info, request: Request) -> Target:
    """Return how far the recovery goes. Raises BackupError."""
    read = archive_place(request.archive) if request.archive else settings.archive
    if request.to is None:
        return Target(read, settings.archive, settings.wal_archive_seconds, timeline=request.timeline)
    if read is None:
        raise BackupError("a moment after the backup needs the archive of the log: set WAL_ARCHIVE, or ARCHIVE")
    if request.to == LATEST:
        return Target(read, settings.archive, settings.wal_archive_seconds, None, True, request.timeline)
    assert isinstance(request.to, datetime)
    if request.to < info.ended:
        raise BackupError(f"the backup is of {info.ended:%Y-%m-%d %H:%M:%SZ}, which is later; choose an older one")
    return Target(read, settings.archive, settings.wal_archive_seconds, request.to, False, request.timeline)


def _check_release(backup: Path, info: Info) -> None:
    """Refuse a backup that this release cannot read. Raises BackupError."""
    if info.postgres.partition(".")[0] != postgres.MAJOR_VERSION:
        raise BackupError(f"{backup} is of PostgreSQL {info.postgres}, and this is {postgres.MAJOR_VERSION}")
    for service, name in info.migrations.items():
        folder = ROOT / ("order_service/payments/sandbox" if service == "sandbox" else f"{service}_service")
        if name and not (folder / "migrations" / f"{name}.py").is_file():
            raise BackupError(
                f"{backup} was made by release {info.product}, which is newer than this one: its {service} database "
                f"has the migration {name}"
            )


def _check_empty(layout: Layout) -> None:
    """Refuse a DATA_DIR with anything in it, but for what an interrupted restore has left: that is removed."""
    if not layout.data_dir.exists():
        return
    if restore_mark(layout).exists():
        with exclusive(layout):
            say(f"{layout.data_dir} has an interrupted restore, which is begun anew")
            for path in layout.data_dir.iterdir():
                if path not in (layout.run, restore_mark(layout)):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif any(layout.data_dir.iterdir()):
        raise BackupError(f"{layout.data_dir} is not empty; name an empty folder: make restore DATA_DIR=...")


def _restore(settings: StackSettings, layout: Layout, backup: Path, request: Request, target: Target) -> None:
    say("Copying the databases")
    _copy_cluster(layout, backup / "postgres")
    shutil.copytree(backup / "keys", layout.data_dir / "keys")
    say("Storing the files")
    for store in STORES:
        # A backup of an earlier release has no files but those of images.
        if (backup / store).is_dir():
            run_copies(store, settings, layout, "--from", str(backup / store))
    for store, folder in (("media", request.media), ("files", request.files)):
        if folder:
            run_copies(store, settings, layout, "--from", str(folder))
    say("Recovering the databases")
    recovered = recover(layout, _UNFINISHED, target)
    (layout.postgres / _UNFINISHED).rename(layout.postgres / postgres.MAJOR_VERSION)
    linux.syncfs(layout.data_dir)
    last = recovered.last_transaction
    say(
        f"Restored into {layout.data_dir}"
        + (f"; the last transaction is of {last:%Y-%m-%d %H:%M:%S.%fZ}" if last else "")
    )


def _take_erased_users(layout: Layout, folders: set[Path]) -> list[UUID]:
    """Take the lists of erased users beside backups. Return the users."""
    erased = ErasedUsersFile(layout.erased_users)
    for folder in folders:
        erased.take_from(ErasedUsersFile.beside(folder))
    return erased.ids()


def _copy_cluster(layout: Layout, source: Path) -> None:
    """Copy PostgreSQL's data folder for the user that it runs under, and check the copy. Raises BackupError."""
    identity = postgres.identity_for(layout)
    target = layout.postgres / _UNFINISHED
    progress = ShownProgress()
    progress.begin(sum(1 for path in source.rglob("*") if path.is_file()), "files of the databases")
    shutil.copytree(source, target, copy_function=_counting(progress))
    progress.end()
    run([str(postgres.programs() / "pg_verifybackup"), "--quiet", str(target)])
    # PostgreSQL refuses a folder that others may enter.
    target.chmod(0o700)
    if os.geteuid() == 0:
        for path in (target, *target.rglob("*")):
            os.chown(path, identity.uid, identity.gid, follow_symlinks=False)


def _counting(progress: ShownProgress) -> Callable[[str, str], object]:
    def copy(source: str, target: str) -> object:
        progress.advance(1)
        return shutil.copy2(source, target)

    return copy
