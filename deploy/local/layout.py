"""The folders below DATA_DIR and their permissions.

postgres/   the database cluster (`postgres/18`), owned by the uid that PostgreSQL runs under, 0700
keys/       the keys that sign local tokens, and those of webhooks' secrets; the private ones are 0600, and the folder
            too is private without root
tls/        the certificates of Envoy and the services with each other, and the authority that signs them; a key is 0600
            and belongs to the user of its processes (deploy/local/internal_tls.py)
media/      the images of gigs, 0755: the edge serves them to everyone; GigService's under root
files/      the files that people send each other, 0700; OrderService's under root
uploads/    uploads of images in progress, 0700; GigService's under root
file-uploads/   uploads of files in progress, 0700; OrderService's under root
erased-users   the ids of erased users, a line each, 0600; a backup takes it along
logs/       one file per process, rotated, 0700
run/        sockets, the lock, rendered configurations; all of it is made anew at every start
  environment/   the environment of each process, with secrets, 0700
  edge/          the files that Envoy reads beside its configuration
  files/         copies of root's own files for its processes, each readable for one of them

DATA_DIR is the current folder of every process, and their paths start there: root's processes change their uid, and
the folders above DATA_DIR may be closed to it. Only a socket's path has to be absolute.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.local import erased_users

# sockaddr_un.sun_path holds 108 bytes with the closing NUL. PostgreSQL's socket has the longest name.
_SUN_PATH = 107
_LONGEST_NAME = "postgres/.s.PGSQL.5432.lock"

# Under root, the group of all processes that connect to PostgreSQL; see deploy/local/users.py.
SERVICES_GID = 65530


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
    def files(self) -> Path:
        """The files that people send each other."""
        return self.data_dir / "files"

    @property
    def tls(self) -> Path:
        """The certificates of Envoy and the services with each other."""
        return self.data_dir / "tls"

    @property
    def uploads(self) -> Path:
        """Uploads of images in progress."""
        return self.data_dir / "uploads"

    @property
    def file_uploads(self) -> Path:
        """Uploads of files in progress."""
        return self.data_dir / "file-uploads"

    @property
    def erased_users(self) -> Path:
        """The ids of erased users, outside of the database: a restore of the database must not lose them."""
        return self.data_dir / erased_users.NAME

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
        """The folder of Unix sockets: `run`, or a folder elsewhere.

        It is elsewhere when the path of `run` is too long, or closed to the uids of root's processes.
        """
        if len(os.fsencode(self.run / _LONGEST_NAME)) <= _SUN_PATH and not self.is_closed:
            return self.run
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"marketplace-{os.geteuid()}-{digest}"

    @property
    def is_closed(self) -> bool:
        """Whether root's processes, with other uids than root's, cannot pass a folder above DATA_DIR."""
        above = (folder for folder in self.data_dir.parents if folder.exists())
        return os.geteuid() == 0 and not all(folder.stat().st_mode & stat.S_IXOTH for folder in above)

    @property
    def postgres_socket(self) -> Path:
        """The folder of PostgreSQL's socket; its owner, root and root's services may enter."""
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
        """The rendered Envoy bootstrap, as Envoy reads it."""
        return self.run / "envoy.json"

    @property
    def readable_envoy_config(self) -> Path:
        """The same with its comments, as people read it."""
        return self.run / "envoy.yaml"

    @property
    def environments(self) -> Path:
        """The folder with the environment of each process."""
        return self.run / "environment"

    @property
    def edge_files(self) -> Path:
        """The folder with the files that Envoy reads beside its configuration."""
        return self.run / "edge"

    @property
    def lent_files(self) -> Path:
        """The folder with copies of files that only root may read."""
        return self.run / "files"

    def log(self, process: str) -> Path:
        """Return the log of a process, named as in `gig-0`."""
        return self.logs / f"{process}.log"

    def create(self) -> None:
        """Create the missing folders. Raises OSError where that is not allowed."""
        # 0711: the uids of root's processes can reach their own folders, but cannot list the others.
        _make(self.data_dir, 0o711)
        _make(self.run, 0o711)
        _make(self.logs, 0o700)
        _make(self.media, 0o755)
        for folder in (self.uploads, self.files, self.file_uploads):
            _make(folder, 0o700)
        if self.sockets != self.run:
            _make(self.sockets, 0o711)
            made = self.sockets.lstat()
            # Everyone may write to the parent folder: another user could have made this one as a trap.
            if not stat.S_ISDIR(made.st_mode) or made.st_uid != os.geteuid() or made.st_mode & 0o022:
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
        if os.geteuid() == 0:
            os.chown(self.postgres_socket, uid, SERVICES_GID, follow_symlinks=False)
            self.postgres_socket.chmod(0o710)

    def give_to_services(self, gig_uid: int, order_uid: int) -> None:
        """Under root, let the services use their folders; an earlier version made them as root.

        The files of images stay root's: who owns their folder can delete them. A restore has stored other files as
        root's, and only their owner may read them.
        """
        # Envoy and the services read the public keys again when they change.
        (self.data_dir / "keys").chmod(0o755)
        gigs, orders = [self.uploads, self.media], [self.file_uploads, self.files]
        if self.media.stat().st_uid != gig_uid:
            gigs = [self.uploads, *self.media.glob("??"), self.media]  # media/ last: it shows that all is done
        if self.files.stat().st_uid != order_uid:
            orders = [self.file_uploads, *self.files.rglob("*"), self.files]
        for uid, folders in ((gig_uid, gigs), (order_uid, orders)):
            for folder in folders:
                os.chown(folder, uid, SERVICES_GID, follow_symlinks=False)

    def write_private(self, path: Path, content: str, gid: int | None = None) -> None:
        """Write a file that only its owner and, if there is one, a group can read."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o600 if gid is None else 0o640)
            if gid is not None:
                os.fchown(descriptor, -1, gid)
            file.write(content)


def _make(folder: Path, mode: int) -> None:
    """Create a folder. Under root add the permissions of others that an existing one or the umask lacks."""
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    if os.geteuid() == 0 and (present := stat.S_IMODE(folder.stat().st_mode)) & mode != mode:
        folder.chmod(present | mode)
