"""`python wal_archive.py store|fetch WHERE NAME PATH`: PostgreSQL's `archive_command` and `restore_command`.

WHERE is a folder or `s3://bucket/prefix`. The current folder is PostgreSQL's data folder. Files lie in a folder named
after the cluster's system identifier, so that two clusters never share one; they are compressed.

It runs as a file, for every 16 MiB of the log, so it imports little. Its status is 0 when the file is stored or
fetched, 1 when there is no such file, or when another one has its name, and 200 when the archive cannot be read:
PostgreSQL then ends its recovery instead of taking what it has for all there is.
"""

import contextlib
import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# Isolated, Python does not read PYTHONPATH.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from deploy.local.wal_files import NAME, Archive, compress, decompress, is_same

NOT_FOUND = 1
UNREADABLE = 200
S3 = "s3://"
_SUFFIX = ".gz"
_UNFINISHED = ".unfinished"
_LEFT_OVER_SECONDS = 3600.0


class FolderArchive:
    """An archive in a folder, which exists: a disk that is not mounted is no empty archive."""

    def __init__(self, where: Path, system: str) -> None:
        self._root = where
        self._folder = where / system

    def store(self, name: str, source: Path) -> bool:
        """Store a file, which then survives a power cut; return False when another file has its name."""
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700)
            _sync(self._root)
        target = self._path(name)
        unfinished = self._folder / f".{name}.{os.getpid()}{_UNFINISHED}"
        try:
            with source.open("rb") as original, unfinished.open("wb") as file:
                compress(original, file)
                file.flush()
                os.fsync(file.fileno())
            # A link never takes the place of a file that is there.
            target.hardlink_to(unfinished)
        except FileExistsError:
            with target.open("rb") as stored:
                return is_same(stored, source)
        finally:
            unfinished.unlink(missing_ok=True)
            _sync(self._folder)
        return True

    def fetch(self, name: str, target: Path) -> bool:
        """Write a copy of a file to a path; return False when there is none."""
        try:
            with self._path(name).open("rb") as stored:
                decompress(stored, target)
        except FileNotFoundError:
            if not self._root.is_dir():
                raise
            return False
        return True

    def names(self) -> Iterator[str]:
        """Yield the names of all files, and remove what interrupted runs have left."""
        for path in self._folder.glob("*"):
            if path.name.endswith(_UNFINISHED):
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < time.time() - _LEFT_OVER_SECONDS:
                        path.unlink()
            elif NAME.fullmatch(path.name.removesuffix(_SUFFIX)):
                yield path.name.removesuffix(_SUFFIX)

    def delete(self, name: str) -> None:
        """Delete a file."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"


def archive_at(where: str, system: str) -> Archive:
    """Return the archive of the cluster with this system identifier. Raises OSError."""
    if not where.startswith(S3):
        return FolderArchive(Path(where), system)
    # Not at the top: boto3 takes half a second.
    from deploy.local.s3_wal_archive import S3Archive

    return S3Archive.from_environment(where, system)


def system_of(cluster: Path) -> str:
    """Return the system identifier of a data folder, the first number of its control file. Raises OSError."""
    with (cluster / "global" / "pg_control").open("rb") as file:
        return str(struct.unpack("=Q", file.read(8))[0])


def _sync(folder: Path) -> None:
    """Flush the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main() -> int:
    """Store or fetch a file, as PostgreSQL asks; a problem is a line on stderr, which is in PostgreSQL's log."""
    what, where, name, path = sys.argv[1:]
    try:
        archive = archive_at(where, system_of(Path()))
        if what == "fetch":
            return 0 if archive.fetch(name, Path(path)) else NOT_FOUND
        if archive.store(name, Path(path)):
            return 0
        print(f"wal_archive: {where} has another {name}: does another stack archive there?", file=sys.stderr)
    except OSError as error:
        print(f"wal_archive: {what} {name} at {where}: {error}", file=sys.stderr)
        return UNREADABLE if what == "fetch" else 1
    return 1


if __name__ == "__main__":
    sys.exit(main())
