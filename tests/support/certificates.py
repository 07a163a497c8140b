"""Certificates for servers of tests, and contexts that trust them."""

from __future__ import annotations

import ssl
from pathlib import Path

from edge.self_signed import certificate_and_key


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
