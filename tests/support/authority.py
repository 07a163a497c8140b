"""Identities of tests: an authority and the folders of the certificates that it signs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from deploy.local.internal_tls import store
from servicekit.authority import Authority
from servicekit.internal_tls import AUTHORITIES, CERTIFICATE, PRIVATE_KEY

DAY = timedelta(days=1)


def write_identity(
    folder: Path,
    authority: Authority,
    identity: str,
    *,
    trusted: bytes | None = None,
    begins: datetime | None = None,
    lifetime: timedelta = DAY,
    name: str = "",
) -> Path:
    """Sign a certificate for an identity and put it into its folder, below `folder`. Return its folder.

    `trusted` replaces the authority in the file of authorities, `name` the identity in the folder's name.
    """
    certificate, private_key = authority.issue(identity, lifetime, begins=begins)
    target = folder / (name or identity)
    folder.mkdir(exist_ok=True)
    store(target, {CERTIFICATE: certificate, PRIVATE_KEY: private_key, AUTHORITIES: trusted or authority.pem})
    return target


def serial_in(folder: Path) -> int:
    """Return the serial number of the certificate in an identity's folder."""
    return x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes()).serial_number


def ago(time: timedelta) -> datetime:
    """Return the moment so long ago."""
    return datetime.now(UTC) - time
