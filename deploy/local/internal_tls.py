"""The certificates of the parts of the stack: made by a local authority, or copied from files, and renewed in time.

DATA_DIR/tls has a folder for each identity. Its files are those of a Secret of Kubernetes, and are replaced in the same
way: all at once, by the link `..data`. So no process sees a new certificate beside an old key. A private key belongs to
the user of the identity's processes, and is readable for that user alone; folders and the other files are not secret.
"""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509

from deploy.local.layout import Layout
from deploy.local.output import say
from deploy.local.ports import SERVICES, STREAMING, spare_of
from deploy.local.settings import StackSettings
from deploy.local.users import edge_identity, service_identity
from servicekit.authority import Authority
from servicekit.internal_tls import (
    AUTHORITIES,
    CERTIFICATE,
    DEVELOPER,
    EDGE,
    PRIVATE_KEY,
    Credentials,
    InternalTlsError,
    channel_credentials,
    channel_options,
    read,
)

# The identities of processes. People have DEVELOPER.
IDENTITIES = (*SERVICES, *STREAMING.values(), EDGE)

LIFETIME = timedelta(days=2)
# A certificate is renewed when so much is left of its lifetime, the authority at a start of the stack.
RENEW_BEFORE = LIFETIME / 2
RENEW_AUTHORITY_BEFORE = timedelta(days=365)

_LOOK_SECONDS = 5.0
_DATA = "..data"
_NO_PROXY = ("grpc.enable_http_proxy", 0)


def check(settings: StackSettings) -> str:
    """Return in words where the certificates come from. Raises InternalTlsError when one cannot be used."""
    if settings.internal_tls == "off":
        return "off, Envoy and the services speak plain text"
    if settings.internal_tls_folder is None:
        return f"certificates of the local authority, for {LIFETIME.days} days each"
    for identity in IDENTITIES:
        if read(settings.internal_tls_folder / identity, identity).ends < datetime.now(UTC):
            raise InternalTlsError(f"the certificate in {settings.internal_tls_folder / identity} has ended")
    return f"with the certificates of {settings.internal_tls_folder}"


class InternalCertificates:
    """The certificates in DATA_DIR/tls. Does nothing with INTERNAL_TLS=off."""

    def __init__(self, settings: StackSettings, layout: Layout) -> None:
        self._folder = layout.tls
        self._is_on = settings.internal_tls == "on"
        self._given = settings.internal_tls_folder
        self._owners = _owners(settings, layout)
        self._authority: Authority | None = None
        self._trusted = b""
        self._refused: dict[str, str] = {}
        self._next_look = 0.0

    def prepare(self) -> None:
        """Make or copy what is missing, ends soon or is of another source. Raises OSError and InternalTlsError."""
        if not self._is_on:
            return
        self._folder.mkdir(mode=0o711, exist_ok=True)
        if self._given is None:
            self._authority, self._trusted = load_authority(self._folder / "authority")
        for identity in self._owners:
            self._provide(identity)

    def look(self) -> None:
        """Renew the certificates that end soon, or copy those whose files have changed; say so. Raises nothing."""
        if not self._is_on or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_SECONDS
        for identity in self._owners:
            try:
                ends = self._provide(identity)
            except (InternalTlsError, OSError) as error:
                # Once, not at each look.
                if self._refused.get(identity) != str(error):
                    say(f"{identity} keeps its certificate. {error}")
                self._refused[identity] = str(error)
            else:
                self._refused.pop(identity, None)
                if ends:
                    say(f"{identity} has a new certificate, until {ends:%Y-%m-%d %H:%M} UTC")

    def _provide(self, identity: str) -> datetime | None:
        """Give an identity new credentials when it needs some. Return when they end; None when it needs none."""
        try:
            present = read(self._folder / identity, identity)
        except InternalTlsError:
            present = None
        new = self._copied(identity, present) if self._given else self._issued(identity, present)
        if new is None:
            return None
        store(self._folder / identity, new, self._owners[identity])
        return read(self._folder / identity, identity).ends

    def _issued(self, identity: str, present: Credentials | None) -> Mapping[str, bytes] | None:
        assert self._authority is not None
        key = self._folder / identity / PRIVATE_KEY
        if is_good(present, self._authority, self._trusted, RENEW_BEFORE) and _belongs_to(key, self._owners[identity]):
            return None
        return new_files(identity, self._authority, self._trusted, LIFETIME)

    def _copied(self, identity: str, present: Credentials | None) -> Mapping[str, bytes] | None:
        assert self._given is not None
        if identity == DEVELOPER and not (self._given / identity).exists():
            return None
        new = files_of(read(self._given / identity, identity))
        return None if present and files_of(present) == new else new


def load_authority(folder: Path) -> tuple[Authority, bytes]:
    """Return the authority in a folder, and the certificates to trust in PEM. Raises OSError and InternalTlsError.

    Without one a new one is made. An authority that ends soon stays trusted beside the new one.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    names = (folder / AUTHORITIES, folder / "ca.key")
    earlier = b""
    if all(name.exists() for name in names):
        trusted, key = (name.read_bytes() for name in names)
        try:
            present = Authority.load(trusted, key)
        except (TypeError, ValueError) as error:
            raise InternalTlsError(f"{folder} has no authority; remove it and a new one is made") from error
        if present.certificate.not_valid_after_utc - datetime.now(UTC) > RENEW_AUTHORITY_BEFORE:
            return present, trusted
        earlier = present.pem
    authority = Authority.new()
    trusted = authority.pem + earlier
    store(folder, {AUTHORITIES: trusted, "ca.key": authority.key_pem}, -1, private="ca.key")
    return authority, trusted


def is_good(present: Credentials | None, authority: Authority, trusted: bytes, renew_before: timedelta) -> bool:
    """Return whether an identity has credentials of this authority that do not end soon."""
    return (
        present is not None
        and present.authorities == trusted
        and present.ends - datetime.now(UTC) > renew_before
        and _is_signed_by(present.certificate, authority)
    )


def files_of(credentials: Credentials) -> Mapping[str, bytes]:
    """Return the files of credentials, by their names."""
    return {
        CERTIFICATE: credentials.certificate,
        PRIVATE_KEY: credentials.private_key,
        AUTHORITIES: credentials.authorities,
    }


def new_files(identity: str, authority: Authority, trusted: bytes, lifetime: timedelta) -> Mapping[str, bytes]:
    """Return the files of an identity with a new certificate."""
    certificate, key = authority.issue(identity, lifetime)
    return {CERTIFICATE: certificate, PRIVATE_KEY: key, AUTHORITIES: trusted}


def _owners(settings: StackSettings, layout: Layout) -> dict[str, int]:
    """Return the uid that owns the private key of each identity; -1: that of this process."""
    identities = {EDGE: edge_identity(settings.port)}
    for name in (*SERVICES, *STREAMING.values()):
        identities[name] = service_identity(layout, name.split("-")[0])
    return {name: each.uid if each else -1 for name, each in identities.items()} | {DEVELOPER: -1}


def _is_signed_by(certificate: bytes, authority: Authority) -> bool:
    try:
        x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(authority.certificate)
    except Exception:  # a signature or a name that does not fit
        return False
    return True


def _belongs_to(file: Path, uid: int) -> bool:
    status = file.stat()
    return status.st_uid == (os.geteuid() if uid == -1 else uid) and stat.S_IMODE(status.st_mode) == 0o600


def store(folder: Path, files: Mapping[str, bytes], uid: int = -1, *, private: str = PRIVATE_KEY) -> None:
    """Put files into a folder at once, in the place of earlier ones; one of them for a user alone. Raises OSError."""
    folder.mkdir(mode=0o755, exist_ok=True)
    data = folder / _DATA
    earlier = data.resolve() if data.is_symlink() else None
    version = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    version.chmod(0o755)
    for name, content in files.items():
        descriptor = os.open(version / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if name == private:
                os.fchown(descriptor, uid, -1)
            else:
                os.fchmod(descriptor, 0o644)
    link = folder / "..data_new"
    link.unlink(missing_ok=True)
    link.symlink_to(version.name)
    link.rename(data)
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(f"{_DATA}/{name}")
    if earlier is not None:
        shutil.rmtree(earlier, ignore_errors=True)


def channel(layout: Layout, address: str, server: str, *, tls: bool, identity: str = EDGE) -> grpc.Channel:
    """Return a channel to a process, as one of the identities; `server` is the process's own."""
    if not tls:
        return grpc.insecure_channel(address, options=[_NO_PROXY])
    credentials = channel_credentials(read(layout.tls / identity, identity))
    return grpc.secure_channel(address, credentials, options=[_NO_PROXY, *channel_options(server)])


def server_identity(process: str) -> str:
    """Return the identity of a process by its name: `gig` for `gig-0` and `gig-spare`."""
    process = process.removesuffix(spare_of(""))
    return process if process in STREAMING.values() else process.split("-")[0]
