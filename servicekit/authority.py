"""A certificate authority for the marketplace's own parts: it makes the certificates of their identities."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from servicekit.internal_tls import host_name, spiffe_id

AUTHORITY_LIFETIME = timedelta(days=3650)
# Clocks of two hosts differ.
_EARLIER = timedelta(minutes=5)
_LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@dataclass(frozen=True)
class Authority:
    """A certificate that signs others, with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls) -> Authority:
        """Return a new authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        serial = x509.random_serial_number()
        # Two authorities have different names, so that the signer of a certificate is found by its name.
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"marketplace authority {serial:x}"[:64])])
        now = datetime.now(UTC)
        usage = _key_usage(signs_certificates=True)
        builder = _builder(name, name, key, serial, now - _EARLIER, now + AUTHORITY_LIFETIME)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> Authority:
        """Return the authority of two PEM files. Raises ValueError."""
        private = serialization.load_pem_private_key(key, None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise ValueError("the authority's key is no EC key")
        return cls(x509.load_pem_x509_certificates(certificate)[0], private)

    @property
    def pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key in PEM."""
        return _private_pem(self.key)

    def issue(self, identity: str, lifetime: timedelta, *, begins: datetime | None = None) -> tuple[bytes, bytes]:
        """Return a certificate for an identity, and its new private key, in PEM.

        It also names 127.0.0.1, for people's own clients on the machine; the parts check the identity.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        begins = begins or datetime.now(UTC) - _EARLIER
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity)])
        names = [x509.UniformResourceIdentifier(spiffe_id(identity)), x509.DNSName(host_name(identity)), _LOOPBACK]
        both_sides = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        serial = x509.random_serial_number()
        certificate = (
            _builder(name, self.certificate.subject, key, serial, begins, begins + _EARLIER + lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both_sides), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    serial: int,
    begins: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
