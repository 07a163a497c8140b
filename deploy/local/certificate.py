"""The edge's certificate: the check before a start, and Envoy's copy, which follows the files when they are renewed.

Envoy's user may read neither file, and Envoy does not notice every way in which a file is replaced. So the foreground
process reads both files and gives Envoy a file of its own.
"""

from pathlib import Path

from deploy.local.layout import Layout
from deploy.local.output import say
from deploy.local.settings import StackSettings
from deploy.local.users import edge_identity
from edge import tls


def check(settings: StackSettings) -> str:
    """Return in words whether the edge speaks TLS. Raises tls.TlsError."""
    if settings.tls_certificate is None or settings.tls_private_key is None:
        return "off, the edge speaks plain HTTP"
    tls.secret_of(settings.tls_certificate, settings.tls_private_key)
    return f"with the certificate of {settings.tls_certificate}"


class CertificateRenewal:
    """Replaces Envoy's copy when the certificate has changed."""

    def __init__(self, settings: StackSettings, layout: Layout) -> None:
        self._files = (settings.tls_certificate, settings.tls_private_key)
        self._target = layout.edge_files / tls.SECRET_FILE
        self._identity = edge_identity(settings.port)
        self._seen = self._stamps()

    def look(self) -> None:
        """Replace the copy when a file has changed; say so, and why not when the new files cannot be used."""
        certificate, private_key = self._files
        if certificate is None or private_key is None:
            return
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            secret = tls.secret_of(certificate, private_key)
            owner = (self._identity.uid, self._identity.gid) if self._identity else (-1, -1)
            tls.write_secret(self._target, secret, *owner)
        except (tls.TlsError, OSError) as error:
            say(f"The edge keeps its certificate. {error}")
        else:
            say(f"The edge has the new certificate of {certificate}")

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(file) for file in self._files if file]


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written or replaced; None for one that is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
