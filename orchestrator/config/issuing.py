"""Who issues certificates, with which key, and which vendors work for us: plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from orchestrator.config.references import SecretRef


@dataclass(frozen=True, slots=True)
class Organization:
    """Who issues certificates.

    Attributes:
        address: Lines of the address.
        contact: Telephone or mail; None if not stated.
    """

    address: tuple[str, ...] = ()
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class PemSigner:
    """A signing key in a PEM file.

    Attributes:
        certificate: PEM file of the certificate, with those of its authorities after it.
        key: PEM file of the private key.
        passphrase: Opens the key; None if it is not encrypted.
    """

    certificate: Path
    key: Path
    passphrase: SecretRef | None = None


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """A signing key in a PKCS#11 token.

    Attributes:
        certificate: PEM file of the certificate, with those of its authorities after it.
        module: The token's library.
        token: Label of the token.
        key: Label of the key.
        pin: Opens the token.
    """

    certificate: Path
    module: Path
    token: str
    key: str
    pin: SecretRef


@dataclass(frozen=True, slots=True)
class Certificates:
    """How certificates are made.

    Attributes:
        paper: Size of their pages.
        signer: The key that signs; None for the one that ``init`` made, in the keyring.
        timestamp_url: RFC 3161 authority for the time of signing; None for none.
        timestamp_ca: PEM file of that authority's certificates; None if it is not checked here.
    """

    paper: Literal["letter", "a4"] = "letter"
    signer: PemSigner | TokenSigner | None = None
    timestamp_url: str | None = None
    timestamp_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class LedgerAnchors:
    """Who outside vouches for the ledger's checkpoints, besides the buckets.

    Attributes:
        timestamp_url: RFC 3161 authority; None for none.
        timestamp_ca: PEM file of that authority's root and other certificates.
        witness: Public key of the second machine that cosigns; None for none.
    """

    timestamp_url: str | None = None
    timestamp_ca: Path | None = None
    witness: str | None = None


@dataclass(frozen=True, slots=True)
class Vendor:
    """A company that destroys or sanitizes for us, as a business associate.

    Attributes:
        key: Name of the table in the file.
        name: The company's name.
        agreement: The agreement's file; None if there is none.
        expires: Last day of the agreement; None if none is on file.
        certification: Its certification, as it states it; None for none.
        certification_expires: Last day of that; None if not stated.
    """

    key: str
    name: str
    agreement: Path | None = None
    expires: date | None = None
    certification: str | None = None
    certification_expires: date | None = None
