"""mTLS between the edge and the services: identities, and the files of one, which are read again when they change.

An identity is a name such as `order`. Its certificate has the URI `spiffe://marketplace/order`, which servers and Envoy
read, and the host name `order.marketplace.internal`, by which gRPC's clients check a server.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

TRUST_DOMAIN = "marketplace"
EDGE = "edge"
# A person with a client such as grpcurl: may call all that the edge may.
DEVELOPER = "developer"
# The identities that make the calls of users.
CALL_FOR_USERS = frozenset((EDGE, DEVELOPER))

# The files of an identity, in a folder of its name: those of a Secret of Kubernetes.
CERTIFICATE, PRIVATE_KEY, AUTHORITIES = "tls.crt", "tls.key", "ca.crt"

# A process looks at its files at most once in this time.
LOOK_SECONDS = 1.0
# A connection is replaced after this time, which takes another handshake: a certificate that has been replaced or has
# ended counts no longer than that. Calls under way go on.
CONNECTION_SECONDS = 3600


def spiffe_id(identity: str) -> str:
    """Return the URI of an identity."""
    return f"spiffe://{TRUST_DOMAIN}/{identity}"


def host_name(identity: str) -> str:
    """Return the host name of an identity."""
    return f"{identity}.{TRUST_DOMAIN}.internal"


class InternalTlsError(Exception):
    """Files that cannot be used; the text names the file and says why."""


@dataclass(frozen=True, eq=False)
class Credentials:
    """What an identity shows, and the authorities whose certificates it takes; all PEM."""

    certificate: bytes
    private_key: bytes
    authorities: bytes
    ends: datetime


def read(folder: Path, identity: str) -> Credentials:
    """Return the credentials in `folder`, which are those of an identity. Raises InternalTlsError."""
    content = {}
    for name in (CERTIFICATE, PRIVATE_KEY, AUTHORITIES):
        try:
            content[name] = (folder / name).read_bytes()
        except OSError as error:
            raise InternalTlsError(f"{folder / name} cannot be read: {error.strerror}") from error
    certificate = _certificate(folder / CERTIFICATE, content[CERTIFICATE])
    _certificate(folder / AUTHORITIES, content[AUTHORITIES])
    if (found := identity_of(certificate)) != identity:
        raise InternalTlsError(f"{folder / CERTIFICATE} is of {found or 'nobody'}, not of {spiffe_id(identity)}")
    try:
        key = serialization.load_pem_private_key(content[PRIVATE_KEY], None)
    except (TypeError, ValueError) as error:
        raise InternalTlsError(f"{folder / PRIVATE_KEY} has no private key in PEM without a password") from error
    if key.public_key() != certificate.public_key():
        raise InternalTlsError(f"{folder / PRIVATE_KEY} is not the key of {CERTIFICATE}")
    return Credentials(
        content[CERTIFICATE], content[PRIVATE_KEY], content[AUTHORITIES], certificate.not_valid_after_utc
    )


def _certificate(file: Path, content: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(content)[0]
    except ValueError as error:
        raise InternalTlsError(f"{file} has no certificate in PEM") from error


def identity_of(certificate: x509.Certificate) -> str:
    """Return the identity of a certificate; empty for one without an identity of this marketplace."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return _identity(uris[0]) if len(uris) == 1 else ""


def _identity(uri: str) -> str:
    prefix = spiffe_id("")
    return uri.removeprefix(prefix) if uri.startswith(prefix) else ""


class InternalTls:
    """The credentials of a process. Files that cannot be used leave the earlier ones in use.

    Raises InternalTlsError when the first ones cannot be used.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.identity = identity
        self._folder = folder
        self._lock = threading.Lock()
        self._stamps = self._look()
        self._current = read(folder, identity)
        self._next_look = time.monotonic() + LOOK_SECONDS

    def current(self) -> Credentials:
        """Return the newest credentials: the same object while the files are the same."""
        if time.monotonic() >= self._next_look:
            with self._lock:
                self._renew()
        return self._current

    def _renew(self) -> None:
        self._next_look = time.monotonic() + LOOK_SECONDS
        stamps = self._look()
        if stamps == self._stamps:
            return
        # Also when they cannot be used: files that are half replaced change once more.
        self._stamps = stamps
        # Not at the top: it takes 0.1 s, and few of the commands that read settings log.
        import structlog

        log = structlog.get_logger()
        try:
            self._current = read(self._folder, self.identity)
        except InternalTlsError as error:
            log.warning("the certificate is kept", reason=str(error))
            return
        log.info("the certificate is renewed", identity=self.identity, ends=self._current.ends.isoformat())

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(self._folder / name) for name in (CERTIFICATE, PRIVATE_KEY, AUTHORITIES)]


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def server_credentials(tls: InternalTls) -> grpc.ServerCredentials:
    """Return the credentials of a server: gRPC asks for new ones before each handshake."""
    given = tls.current()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        newest = tls.current()
        if newest is given:
            return None
        given = newest
        return _server_configuration(newest)

    first = _server_configuration(given)
    # Any: its types do not know that there may be nothing new.
    fetcher: Any = fetch
    return grpc.dynamic_ssl_server_credentials(first, fetcher, require_client_authentication=True)


def _server_configuration(credentials: Credentials) -> grpc.ServerCertificateConfiguration:
    pair = (credentials.private_key, credentials.certificate)
    return grpc.ssl_server_certificate_configuration([pair], credentials.authorities)


def channel_credentials(credentials: Credentials) -> grpc.ChannelCredentials:
    """Return the credentials of a client."""
    return grpc.ssl_channel_credentials(credentials.authorities, credentials.private_key, credentials.certificate)


def channel_options(server: str) -> list[tuple[str, str]]:
    """Return the options of a channel to servers of an identity; other servers are refused."""
    return [("grpc.ssl_target_name_override", host_name(server))]


def peer_of(context: Any) -> str:
    """Return the identity of the client of a call, from its certificate; empty without one of this marketplace."""
    found = context.auth_context().get("peer_spiffe_id")
    return _identity(next(iter(found)).decode()) if found else ""


# Returns the identity of the client of a call. There is none where connections are plain text.
Peers = Callable[[Any], str]
