"""The settings with which PostgreSQL archives its log, and reads the archive again; and what an archive has to keep."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.wal_archive import S3, archive_at
from deploy.local.wal_files import NAME

_PROGRAM = Path(__file__).with_name("wal_archive.py")


def server_settings(where: str, seconds: int) -> dict[str, str]:
    """Return the settings of a server that archives its log. After so many seconds it archives a file half full."""
    command = _command("store", where, "%f", "%p")
    return {"archive_mode": "on", "archive_command": command, "archive_timeout": str(seconds)}


def restore_command(where: str) -> str:
    """Return the command with which a recovering server reads the archive."""
    return _command("fetch", where, "%f", "%p")


def needed_paths(where: str) -> list[Path]:
    """Return the folders that PostgreSQL's user has to reach to run the commands."""
    python = Path(sys.executable)
    own = [python.parent, python.resolve().parent, Path(os.__file__).parent, _PROGRAM.parent]
    return own if where.startswith(S3) else [*own, Path(where)]


def make_folder(where: str, uid: int, gid: int) -> None:
    """Make the folder of an archive, for the user that PostgreSQL runs under. One that exists stays as it is.

    Raises OSError.
    """
    if where.startswith(S3) or Path(where).exists():
        return
    folder = Path(where)
    folder.mkdir(mode=0o700, parents=True)
    if os.geteuid() == 0:
        os.chown(folder, uid, gid)


def prune(where: str, system: str, first_wal: str) -> int:
    """Delete the files of the log that are older than the one that the oldest backup needs. Return their number.

    Files of all timelines are compared by their place in the log; histories of timelines stay. Raises OSError.
    """
    archive = archive_at(where, system)
    old = [name for name in archive.names() if NAME.fullmatch(name) and len(name) >= 24 and name[8:24] < first_wal[8:]]
    for name in old:
        archive.delete(name)
    return len(old)


def variables(where: str | None, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that the commands read: for S3 its own, else none."""
    if where is None or not where.startswith(S3):
        return {}
    wanted = ("AWS_", "S3_ENDPOINT_URL", "S3_REGION", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
    return {name: value for name, value in inherited.items() if name.startswith(wanted)}


def _command(what: str, where: str, *placeholders: str) -> str:
    # Without site-packages Python starts in half the time; S3's library is there.
    options = ["-I"] if where.startswith(S3) else ["-I", "-S"]
    words = shlex.join([sys.executable, *options, str(_PROGRAM), what, where]).replace("%", "%%")
    return " ".join([words, *(f'"{each}"' for each in placeholders)])
