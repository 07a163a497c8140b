"""Where things lie below DATA_DIR, and who may enter.

postgres/   the database cluster (`postgres/18`), owned by the uid that PostgreSQL runs under, 0700
keys/       the keys that sign local tokens, 0700
media/      the pictures of gigs, 0755: the edge serves them to everyone
uploads/    pictures on their way in, 0700; emptied at every start
logs/       one file a process, rotated, 0700
run/        sockets, the lock, rendered configurations; nothing in it is worth keeping
"""

import hashlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

# sockaddr_un.sun_path holds 108 bytes with the closing NUL. The longest of our names is PostgreSQL's.
_SUN_PATH = 107
_LONGEST_NAME = "postgres/.s.PGSQL.5432.lock"


@dataclass(frozen=True)
class Layout:
    """The folders of one stack. `data_dir` is absolute."""

    data_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Layout":
        """The layout below a folder that may be given relative to the current one."""
        return cls(data_dir.expanduser().absolute())

    @property
    def postgres(self) -> Path:
        """What PostgreSQL owns."""
        return self.data_dir / "postgres"

    @property
    def media(self) -> Path:
        """The pictures of gigs."""
        return self.data_dir / "media"

    @property
    def uploads(self) -> Path:
        """Pictures on their way in."""
        return self.data_dir / "uploads"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.data_dir / "logs"

    @property
    def run(self) -> Path:
        """What lasts as long as the stack runs."""
        return self.data_dir / "run"

    @property
    def lock(self) -> Path:
        """Locked (flock) while a stack uses the folder; holds the pid of its foreground process."""
        return self.run / "lock"

    @property
    def sockets(self) -> Path:
        """The folder of the Unix sockets: `run`, or a short private folder when its path is too long for a socket."""
        if len(os.fsencode(self.run / _LONGEST_NAME)) <= _SUN_PATH:
            return self.run
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"marketplace-{os.geteuid()}-{digest}"

    @property
    def postgres_socket(self) -> Path:
        """The folder of PostgreSQL's socket; nobody but its owner and root may enter."""
        return self.sockets / "postgres"

    @property
    def supervisor_socket(self) -> Path:
        """Where supervisord answers."""
        return self.sockets / "supervisor.sock"

    @property
    def supervisor_config(self) -> Path:
        """The rendered supervisord configuration."""
        return self.run / "supervisord.conf"

    @property
    def envoy_config(self) -> Path:
        """The rendered Envoy bootstrap."""
        return self.run / "envoy.yaml"

    def log(self, process: str) -> Path:
        """The log of a process by its name, such as `gig-0`."""
        return self.logs / f"{process}.log"

    def create(self) -> None:
        """Make the folders that are missing. Raises OSError where that is not allowed."""
        # 0711: PostgreSQL's uid passes through to its own folder, nobody lists what lies beside it.
        self.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.run.mkdir(mode=0o711, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        self.media.mkdir(mode=0o755, exist_ok=True)
        self.uploads.mkdir(mode=0o700, exist_ok=True)
        if self.sockets != self.run:
            self.sockets.mkdir(mode=0o711, exist_ok=True)
            found = self.sockets.lstat()
            # The folder lies where everyone may write: one that somebody else laid there first is a trap.
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise PermissionError(f"{self.sockets} exists and is not ours; remove it or shorten DATA_DIR")

    def remove_sockets(self) -> None:
        """Leave nothing outside DATA_DIR once the stack has ended."""
        if self.sockets != self.run:
            shutil.rmtree(self.sockets, ignore_errors=True)

    def give_to_postgres(self, uid: int, gid: int) -> None:
        """Make PostgreSQL's own two folders, for the uid that it runs under. What is in them stays."""
        for folder in (self.postgres, self.postgres_socket):
            folder.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(folder, uid, gid, follow_symlinks=False)
