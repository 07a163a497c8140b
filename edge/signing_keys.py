"""The signing keys of a local stack, in `DATA_DIR/keys`. They are made when they are first needed.

There are two pairs, both ES256. `user` signs the access tokens of `make token`; it counts only while USER_JWKS is not
set. `service` signs the tokens with which services call each other. Only their owner can read the private keys. Beside
them are the secret of the databases' passwords and the keys of webhooks' secrets.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

ALGORITHM = "ES256"
USER_ISSUER = "marketplace-local"
USER_AUDIENCE = "marketplace"

_COORDINATE_BYTES = 32  # P-256


@dataclass(frozen=True)
class LocalKey:
    """A key pair in files: the private key as PEM, the public key as JWKS."""

    private: Path
    jwks: Path

    def load(self) -> ec.EllipticCurvePrivateKey:
        """Return the private key. Raises ValueError when the file is not an EC key on P-256."""
        try:
            key = serialization.load_pem_private_key(self.private.read_bytes(), password=None)
        except ValueError as error:
            raise ValueError(f"{self.private} is not a private key in PEM; remove it and a new one is made") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError(f"{self.private} is not an EC key on P-256; remove it and a new one is made")
        return key


def user_key(data_dir: Path) -> LocalKey:
    """Return the pair for local users' tokens; make it when it is missing. Raises OSError and ValueError."""
    return _ensure(data_dir / "keys", "user")


def service_key(data_dir: Path) -> LocalKey:
    """Return the pair for the services' own tokens; make it when it is missing. Raises OSError and ValueError."""
    return _ensure(data_dir / "keys", "service")


def database_secret(data_dir: Path) -> bytes:
    """Return the secret from which the passwords of the embedded databases follow; make it when it is missing.

    Raises OSError.
    """
    path = data_dir / "keys" / "databases.secret"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _write(path, secrets.token_bytes(32), 0o600, _keep_the_first)
    return path.read_bytes()


def webhook_keys(data_dir: Path) -> str:
    """Return the local WEBHOOK_KEYS, which encrypt the secrets of webhook endpoints; make one when there is none.

    Raises OSError.
    """
    path = data_dir / "keys" / "webhooks.keys"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _write(path, Fernet.generate_key() + b"\n", 0o600, _keep_the_first)
    return path.read_text().strip()


def key_id(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the key's JWK thumbprint (RFC 7638): the same key has the same `kid` everywhere."""
    members = {name: value for name, value in _jwk(key).items() if name in ("crv", "kty", "x", "y")}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _ensure(folder: Path, name: str) -> LocalKey:
    pair = LocalKey(folder / f"{name}.pem", folder / f"{name}.jwks.json")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not pair.private.exists():
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(pair.private, pem, 0o600, _keep_the_first)
    key = pair.load()
    jwk = _jwk(key) | {"kid": key_id(key), "alg": ALGORITHM, "use": "sig"}
    jwks = json.dumps({"keys": [jwk]}, indent=2).encode() + b"\n"
    if not pair.jwks.exists() or pair.jwks.read_bytes() != jwks:
        _write(pair.jwks, jwks, 0o644, Path.replace)
    return pair


def _jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    point = key.public_key().public_numbers()
    x, y = (_base64url(number.to_bytes(_COORDINATE_BYTES, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _keep_the_first(written: Path, target: Path) -> None:
    """Publish a written file, unless the target exists: two processes that make a key at once both use the first."""
    with contextlib.suppress(FileExistsError):
        target.hardlink_to(written)
    written.unlink()


def _write(target: Path, content: bytes, mode: int, publish: Callable[[Path, Path], object]) -> None:
    """Write a file completely, with its permissions, before `publish` moves it to its name."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    publish(Path(name), target)
