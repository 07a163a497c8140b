"""TLS on the public listener: versions, protocols, what is derived from the scheme, and a renewed certificate."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from edge import tls
from tests.support.certificates import certificate_and_key, certificate_files
from tests.support.edge import Edge, assert_refused, get, read_response
from tests.support.eventually import eventually


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the certificate and its key."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def trusted(folder: Path) -> ssl.SSLContext:
    """Return a context that trusts the edge's first certificate."""
    return certificate_files(folder)[2]


@pytest.fixture(scope="module")
def secure(folder: Path, trusted: ssl.SSLContext) -> Iterator[Edge]:
    """Yield an edge that speaks TLS."""
    edge = Edge(tls_certificate=str(folder / "certificate.pem"), tls_private_key=str(folder / "key.pem"))
    try:
        yield edge.start()
    finally:
        edge.stop()


def client(edge: Edge, context: ssl.SSLContext, *, http2: bool = False) -> httpx.Client:
    """Return a client that checks the edge's certificate."""
    return httpx.Client(base_url=f"https://127.0.0.1:{edge.port}", verify=context, http2=http2, timeout=10)


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_a_client_gets_the_protocol_that_it_offers(secure: Edge, trusted: ssl.SSLContext, http2: bool) -> None:
    with client(secure, trusted, http2=http2) as api:
        response = api.get("/api/categories")

    assert response.status_code == 200
    assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    assert secure.gig.last().metadata["x-forwarded-proto"] == "https"


def test_browsers_are_told_to_come_back_by_tls_alone(secure: Edge, trusted: ssl.SSLContext, edge: Edge) -> None:
    with client(secure, trusted) as api:
        for path, status in (("/api/categories", 200), ("/api/orders", 401), ("/api/nothing", 404)):
            response = api.get(path)
            assert response.status_code == status
            assert response.headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in httpx.get(f"{edge.url}/api/categories").headers


def handshake(edge: Edge, context: ssl.SSLContext, version: ssl.TLSVersion) -> str | None:
    """Shake hands with one version of TLS. Return the agreed protocol of ALPN. Raises OSError."""
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    with closing(socket.create_connection(("127.0.0.1", edge.port), timeout=10)) as connection:
        return context.wrap_socket(connection, server_hostname="127.0.0.1").selected_alpn_protocol()


def trusting_anyone() -> ssl.SSLContext:
    """Return a context that takes any certificate, and any version of TLS that OpenSSL still has."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_spoken_from_1_2_on_and_http2_preferred(secure: Edge, version: ssl.TLSVersion) -> None:
    assert handshake(secure, trusting_anyone(), version) == "h2"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_older_tls_is_refused(secure: Edge) -> None:
    with pytest.raises(OSError):
        handshake(secure, trusting_anyone(), ssl.TLSVersion.TLSv1_1)


def test_what_is_no_tls_gets_no_answer_and_harms_nobody(secure: Edge, trusted: ssl.SSLContext) -> None:
    with pytest.raises(ConnectionError):
        secure.raw(get("/api/categories"))

    with client(secure, trusted) as api:
        assert api.get("/api/categories").status_code == 200


def test_a_broken_request_over_tls_is_an_error_in_json(secure: Edge, trusted: ssl.SSLContext) -> None:
    with closing(socket.create_connection(("127.0.0.1", secure.port), timeout=10)) as connection:
        encrypted = trusted.wrap_socket(connection, server_hostname="127.0.0.1")
        encrypted.sendall(b"nonsense\r\n\r\n")
        assert_refused(read_response(encrypted), 400, "INVALID_ARGUMENT")


def test_a_renewed_certificate_is_taken_without_a_restart(
    secure: Edge, trusted: ssl.SSLContext, tmp_path: Path
) -> None:
    certificate, private_key, renewed = certificate_files(tmp_path)
    with client(secure, trusted) as old:
        assert old.get("/api/categories").status_code == 200

        tls.write_secret(secure.folder / "files" / tls.SECRET_FILE, tls.secret_of(certificate, private_key))

        def has_the_new_one() -> bool:
            try:
                return httpx.get(f"https://127.0.0.1:{secure.port}/api/categories", verify=renewed).is_success
            except httpx.ConnectError:
                return False

        eventually(has_the_new_one, 10)
        # A connection from before goes on.
        assert old.get("/api/categories").status_code == 200
    with pytest.raises(httpx.ConnectError), client(secure, trusted) as late:
        late.get("/api/categories")


PEM = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)


def pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: bytes = b""
) -> bytes:
    """Return a private key in PEM."""
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(*PEM, protection)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("TLS_CERTIFICATE", None, "cannot be read: No such file"),
        ("TLS_CERTIFICATE", b"", "has no certificate in PEM"),
        ("TLS_CERTIFICATE", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", "has no certificate"),
        ("TLS_PRIVATE_KEY", None, "cannot be read: No such file"),
        ("TLS_PRIVATE_KEY", b"nonsense", "has no private key in PEM"),
        ("TLS_PRIVATE_KEY", pem(ec.generate_private_key(ec.SECP256R1()), b"secret"), "needs a password"),
        ("TLS_PRIVATE_KEY", pem(ec.generate_private_key(ec.SECP256R1())), "is not the key of the first certificate"),
        ("TLS_PRIVATE_KEY", pem(rsa.generate_private_key(65537, 1024)), "is neither RSA of 2048 bits nor of P-256"),
        ("TLS_PRIVATE_KEY", pem(ec.generate_private_key(ec.SECP224R1())), "is neither RSA of 2048 bits nor of P-256"),
        ("TLS_PRIVATE_KEY", pem(ed25519.Ed25519PrivateKey.generate()), "is neither RSA of 2048 bits nor of P-256"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    certificate, private_key, _ = certificate_files(tmp_path)
    wrong = {"TLS_CERTIFICATE": certificate, "TLS_PRIVATE_KEY": private_key}[name]
    wrong.unlink()
    if content is not None:
        wrong.write_bytes(content)

    with pytest.raises(tls.TlsError, match=f"^{name}: {wrong} {reason}"):
        tls.secret_of(certificate, private_key)


def test_certificate_and_key_may_stand_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "both.pem"
    file.write_bytes(b"".join(reversed(certificate_and_key("market.example"))))

    assert tls.SECRET_NAME in tls.secret_of(file, file)


def test_the_copy_for_envoy_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    target = tmp_path / tls.SECRET_FILE

    for secret in ("first", "second"):
        tls.write_secret(target, secret)
        assert target.read_text() == secret
        assert target.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [target]
