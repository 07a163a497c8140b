"""Certificates for servers of tests, and contexts that trust them."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate_and_key(name: str) -> tuple[bytes, bytes]:
    """Return a new certificate for this host name or address, signed by itself, and its private key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A test's own")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_general_name(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def certificate_files(folder: Path, name: str = "127.0.0.1") -> tuple[Path, Path, ssl.SSLContext]:
    """Write a new certificate and its key. Return both files, and a context that trusts the certificate alone."""
    certificate, private_key = folder / "certificate.pem", folder / "key.pem"
    pem, private = certificate_and_key(name)
    certificate.write_bytes(pem)
    private_key.write_bytes(private)
    return certificate, private_key, ssl.create_default_context(cadata=pem.decode())


def certificate_file(file: Path, name: str = "127.0.0.1") -> Path:
    """Write a new certificate and its key into one file that only its owner may read."""
    file.touch(0o600)
    file.write_bytes(b"".join(certificate_and_key(name)))
    return file


def server_and_client(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the context of a server with a certificate for this host name, and one that trusts it and nothing else."""
    pem, private = certificate_and_key(name)
    file = folder / f"{name}.pem"
    file.write_bytes(private + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())
