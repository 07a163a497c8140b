"""A folder of backups, and what each of them holds.

A backup is a folder named after the moment when it was begun, such as `2026-11-29T12-00-00Z`:

backup.json    what it is: versions, times, its place in the write-ahead log
postgres/      PostgreSQL's data folder, with the log from the begin to the end of the copy, and a manifest of its own
media/         the files of images
files/         the files that people send each other
keys/          the stack's keys
SHA256SUMS     the checksums of all of these, as `sha256sum -c` reads them; PostgreSQL's manifest has those of its files
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from servicekit.progress import Progress

FORMAT = 1
INFO = "backup.json"
SUMS = "SHA256SUMS"
MANIFEST = "backup_manifest"
UNFINISHED = ".unfinished"
_REMOVED = ".removed"
_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ")


class BackupError(Exception):
    """A backup or a restore that cannot be made; the text has the reason and the remedy."""


@dataclass(frozen=True)
class Info:
    """The contents of backup.json. Times are UTC; `ended` is the moment that the databases come back to."""

    began: datetime
    ended: datetime
    product: str
    postgres: str
    system: str
    timeline: int
    # The oldest file of the write-ahead log that the backup needs.
    first_wal: str
    settings: dict[str, str]
    # The newest migration of each service's database.
    migrations: dict[str, str]
    bytes: dict[str, int] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the text of backup.json."""
        return json.dumps(asdict(self), indent=2, default=datetime.isoformat) + "\n"

    @classmethod
    def read(cls, backup: Path) -> "Info":
        """Read a backup's description. Raises BackupError."""
        try:
            values = json.loads((backup / INFO).read_text())
            if values["format"] != FORMAT:
                raise BackupError(f"{backup} has format {values['format']}, and this release reads {FORMAT}")
            times = {name: datetime.fromisoformat(values[name]) for name in ("began", "ended")}
            return cls(**values | times)
        except FileNotFoundError:
            raise BackupError(f"{backup} is no backup: it has no {INFO}") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BackupError(f"{backup / INFO} cannot be read: {error}") from error


def name_of(moment: datetime) -> str:
    """Return the name of a backup that is begun at this moment."""
    return f"{moment:%Y-%m-%dT%H-%M-%SZ}"


def backups(folder: Path) -> list[Path]:
    """Return the whole backups of a folder, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and (path / INFO).is_file())


def remove(backup: Path) -> None:
    """Remove a backup. It is gone at once, also when this is interrupted."""
    gone = backup.with_name(f".{backup.name}{_REMOVED}")
    backup.rename(gone)
    shutil.rmtree(gone)


def remove_leftovers(folder: Path) -> None:
    """Remove what interrupted runs have left. Nobody else may work in the folder."""
    for path in folder.glob(".*Z.*"):
        if path.name.endswith((UNFINISHED, _REMOVED)):
            shutil.rmtree(path)


def files_of(backup: Path) -> Iterator[Path]:
    """Yield the files of a backup that SHA256SUMS has, in order."""
    yield backup / INFO
    yield backup / "postgres" / MANIFEST
    for folder in ("keys", "media", "files"):
        yield from sorted(path for path in (backup / folder).rglob("*") if path.is_file())


def write_sums(backup: Path, before: Path | None, progress: Progress) -> None:
    """Write the checksums of a backup. Those of files that are linked from the backup before are taken from there."""
    known = read_sums(before) if before else {}
    with (backup / SUMS).open("w") as sums:
        paths = list(files_of(backup))
        progress.begin(len(paths), "checksums")
        for path in paths:
            name = path.relative_to(backup).as_posix()
            linked = before is not None and name in known and _is_same(path, before / name)
            sums.write(f"{known[name] if linked else sum_of(path)}  {name}\n")
            progress.advance(1)
    progress.end()


def check_sums(backup: Path, progress: Progress) -> None:
    """Compare all files with their checksums. Raises BackupError for the first that is missing or different."""
    sums = read_sums(backup)
    progress.begin(len(sums), "checksums")
    for name, expected in sums.items():
        try:
            actual = sum_of(backup / name)
        except OSError as error:
            raise BackupError(f"{backup / name} cannot be read: {error.strerror}") from error
        if actual != expected:
            raise BackupError(f"{backup / name} is damaged: its checksum is not that of {SUMS}")
        progress.advance(1)
    progress.end()


def read_sums(backup: Path) -> dict[str, str]:
    """Return the checksum of each file of a backup by its path. Raises BackupError."""
    try:
        lines = (backup / SUMS).read_text().splitlines()
    except OSError as error:
        raise BackupError(f"{backup / SUMS} cannot be read: {error.strerror}") from error
    pairs = (line.partition("  ") for line in lines)
    return {name: digest for digest, _, name in pairs}


def sum_of(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except FileNotFoundError:
        return False
