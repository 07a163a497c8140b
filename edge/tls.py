"""The certificate of the public listener, as a file that Envoy reads, and reads again when it is replaced.

Certificate and key stand in one file, so that Envoy never sees a new one beside an old one.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

# The name of Envoy's file, and of the secret in it.
SECRET_FILE = "tls.json"  # noqa: S105  # a file's name
SECRET_NAME = "public"  # noqa: S105  # a name in Envoy

# What Envoy takes; a listener whose secret it refuses never opens its port.
MIN_RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")


class TlsError(Exception):
    """A file of TLS_CERTIFICATE or TLS_PRIVATE_KEY that cannot be used; the text names the setting and says why."""


def write_secret(target: Path, secret: str, uid: int = -1, gid: int = -1) -> None:
    """Put a secret in the place of Envoy's file at once, readable for its owner alone. Raises OSError."""
    new = target.with_name(f".{target.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchown(descriptor, uid, gid)
        file.write(secret)
    new.rename(target)


def secret_of(certificate: Path, private_key: Path) -> str:
    """Return Envoy's secret with a chain of certificates and its key, both PEM. Raises TlsError."""
    chain = _read("TLS_CERTIFICATE", certificate)
    key = _read("TLS_PRIVATE_KEY", private_key)
    _check(certificate, chain, private_key, key)
    pair = {"certificate_chain": {"inline_bytes": _base64(chain)}, "private_key": {"inline_bytes": _base64(key)}}
    secret = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": SECRET_NAME,
        "tls_certificate": pair,
    }
    return json.dumps({"resources": [secret]})


def _read(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TlsError(f"{setting}: {file} cannot be read: {error.strerror}") from error


def _check(certificate: Path, chain: bytes, private_key: Path, key: bytes) -> None:
    """Check that both files are ones that Envoy takes, and belong together."""
    try:
        first = x509.load_pem_x509_certificates(chain)[0].public_key()
    except ValueError as error:
        raise TlsError(f"TLS_CERTIFICATE: {certificate} has no certificate in PEM") from error
    try:
        private = serialization.load_pem_private_key(key, None)
    except TypeError as error:
        raise TlsError(f"TLS_PRIVATE_KEY: {private_key} needs a password; store the key without one") from error
    except ValueError as error:
        raise TlsError(f"TLS_PRIVATE_KEY: {private_key} has no private key in PEM") from error
    is_rsa = isinstance(private, rsa.RSAPrivateKey) and private.key_size >= MIN_RSA_BITS
    if not is_rsa and not (isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES):
        raise TlsError(
            f"TLS_PRIVATE_KEY: {private_key} is neither RSA of {MIN_RSA_BITS} bits nor of P-256, P-384, P-521"
        )
    if private.public_key() != first:
        raise TlsError(f"TLS_PRIVATE_KEY: {private_key} is not the key of the first certificate in {certificate}")


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
