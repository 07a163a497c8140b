"""The folders below DATA_DIR and their permissions.

postgres/   the database cluster (`postgres/18`), owned by the uid that PostgreSQL runs under, 0700
keys/       the keys that sign local tokens, 0700
media/      the images of gigs, 0755: the edge serves them to everyone
uploads/    uploads in progress, 0700; emptied at every start
logs/       one file per process, rotated, 0700
run/        sockets, the lock, rendered configurations; all of it is made anew at every start
"""

import hashlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

# sockaddr_un.sun_path holds 108 bytes with the closing NUL. PostgreSQL's socket has the longest name.
_SUN_PATH = 107
_LONGEST_NAME = "postgres/.s.PGSQL.5432.lock"


@dataclass(frozen=True)
class Layout:
    """The folders of one stack. `data_dir` is absolute."""

    data_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Layout":
        """Return the layout below a folder; a relative path starts from the current folder."""
        return cls(data_dir.expanduser().absolute())

    @property
    def postgres(self) -> Path:
        """The folder that PostgreSQL owns."""
        return self.data_dir / "postgres"

    @property
    def media(self) -> Path:
        """The files of images."""
        return self.data_dir / "media"

    @property
    def uploads(self) -> Path:
        """Uploads in progress."""
        return self.data_dir / "uploads"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.data_dir / "logs"

    @property
    def run(self) -> Path:
        """Files that last as long as the stack runs."""
        return self.data_dir / "run"

    @property
    def lock(self) -> Path:
        """Locked (flock) while a stack uses the folder; holds the pid of its foreground process."""
        return self.run / "lock"

    @property
    def sockets(self) -> Path:
        """The folder of Unix sockets: `run`, or a private folder with a short path when that of `run` is too long."""
        if len(os.fsencode(self.run / _LONGEST_NAME)) <= _SUN_PATH:
            return self.run
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"marketplace-{os.geteuid()}-{digest}"

    @property
    def postgres_socket(self) -> Path:
        """The folder of PostgreSQL's socket; only its owner and root may enter."""
        return self.sockets / "postgres"

    @property
    def supervisor_socket(self) -> Path:
        """The socket of supervisord."""
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
        """Return the log of a process, named as in `gig-0`."""
        return self.logs / f"{process}.log"

    def create(self) -> None:
        """Create the missing folders. Raises OSError where that is not allowed."""
        # 0711: PostgreSQL's uid can reach its own folder, but cannot list the others.
        self.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.run.mkdir(mode=0o711, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        self.media.mkdir(mode=0o755, exist_ok=True)
        self.uploads.mkdir(mode=0o700, exist_ok=True)
        if self.sockets != self.run:
            self.sockets.mkdir(mode=0o711, exist_ok=True)
            folder = self.sockets.lstat()
            # Everyone may write to the parent folder: another user could have made this one as a trap.
            if not stat.S_ISDIR(folder.st_mode) or folder.st_uid != os.geteuid() or folder.st_mode & 0o022:
                raise PermissionError(f"{self.sockets} exists and is not ours; remove it or shorten DATA_DIR")

    def remove_sockets(self) -> None:
        """Remove the folder of sockets when it is outside DATA_DIR."""
        if self.sockets != self.run:
            shutil.rmtree(self.sockets, ignore_errors=True)

    def give_to_postgres(self, uid: int, gid: int) -> None:
        """Create PostgreSQL's two folders and give them to the uid that it runs under. Their contents stay."""
        for folder in (self.postgres, self.postgres_socket):
            folder.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(folder, uid, gid, follow_symlinks=False)
