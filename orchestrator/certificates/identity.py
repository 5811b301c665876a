"""The key that signs certificates: the site's own, from a PEM file, or in a token.

The site's own key is P-256; its certificate is self-made and names the practice. Must not know the
keyring or the site file: both are handed in as values.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import ConfigError, CredentialError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

VALID_FOR = dt.timedelta(days=25 * 366)
"""Long: a certificate of destruction is kept for good, and its signer is known by fingerprint."""

_EARLIER = dt.timedelta(minutes=5)
_LONGEST_NAME = 64
"""Source: RFC 5280, appendix A.1, ub-common-name."""


@dataclass(frozen=True, slots=True)
class PemIdentity:
    """A signing key as PEM.

    Attributes:
        certificate: The signer's certificate, then those of its authorities.
        key: The private key, PKCS #8; encrypted if there is a passphrase.
        passphrase: Opens the key.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    passphrase: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TokenIdentity:
    """A signing key in a PKCS#11 token.

    Attributes:
        certificate: The signer's certificate as PEM, then those of its authorities.
        module: Path of the token's library.
        token: The token's label.
        key: The key's label.
        pin: Opens the token.
    """

    certificate: bytes
    module: str
    token: str
    key: str
    pin: str = field(repr=False)


Identity = PemIdentity | TokenIdentity


def make_key() -> bytes:
    """Return a new P-256 private key, as unencrypted PKCS #8 DER; keep it wrapped."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def key_pem(key: bytes) -> bytes:
    """Return such a key as PEM."""
    from cryptography.hazmat.primitives import serialization

    return _load(key).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def make_certificate(key: bytes, organization: str, *, now: dt.datetime) -> bytes:
    """Return a self-made certificate for a site's own key, as PEM.

    Args:
        key: As `make_key` returns it.
        organization: The practice's name.
        now: Aware.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    private = _load(key)
    public = private.public_key()
    short = organization[:_LONGEST_NAME]
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, short),
            x509.NameAttribute(NameOID.COMMON_NAME, "Certificates of destruction"),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    # emailProtection beside document signing: poppler rejects a signer that has only the latter.
    purposes = [ExtendedKeyUsageOID.EMAIL_PROTECTION, x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(private, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def belongs(certificate: bytes, key: bytes) -> bool:
    """Say whether a PEM certificate is for a site's own key."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate)
    except ValueError:
        return False
    return bool(found.public_key() == _load(key).public_key())


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of the first PEM certificate, in hex.

    Raises:
        ConfigError: It is no PEM certificate.
    """
    from cryptography.hazmat.primitives import hashes

    return certificates_in(certificate)[0].fingerprint(hashes.SHA256()).hex()


def certificates_in(pem: bytes) -> list[Certificate]:
    """Return the certificates of a PEM file, at least one.

    Raises:
        ConfigError: There is none.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        wrong = "certificates: the signer's certificate is no PEM certificate"
        raise ConfigError([wrong]) from None


def check_pem(identity: PemIdentity) -> None:
    """Check that key and certificate belong together and are strong enough.

    Raises:
        CredentialError: The key cannot be opened.
        ConfigError: They do not belong together, or are of a kind that is not used here.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificate = certificates_in(identity.certificate)[0]
    try:
        key = load_pem_private_key(identity.key, identity.passphrase)
    except (ValueError, TypeError):
        raise CredentialError(
            "the key that signs certificates cannot be opened",
            hint="check certificates.pem in the site file: key and passphrase",
        ) from None
    check_strong(identity.certificate, "certificates.pem.key")
    if key.public_key() != certificate.public_key():
        raise ConfigError(["certificates.pem: the key is not that of the certificate"])


def check_strong(certificate: bytes, what: str) -> None:
    """Check that the key of a PEM certificate is strong enough to sign.

    Args:
        certificate: The signer's, first of the file.
        what: Key of the site file that is named if it is not.

    Raises:
        ConfigError: It is not, or there is no certificate.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = certificates_in(certificate)[0].public_key()
    strong = (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size >= 256) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= 3072
    )
    if not strong:
        raise ConfigError([f"{what}: must be ECDSA P-256 or better, or RSA 3072"])


def _load(key: bytes) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    loaded = load_der_private_key(key, None)
    if not isinstance(loaded, EllipticCurvePrivateKey):
        raise CredentialError("the key that signs certificates is of the wrong kind")
    return loaded
