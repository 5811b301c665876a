"""Asking a time-stamping authority: bytes go out, its signed reply comes back and is verified.

Knows nothing of ledgers. The raw reply is what counts, and is what a stranger verifies with
``openssl ts``; a reply that this cannot verify is never handed out.

Source: RFC 3161, sections 2.4 and 3.4.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orchestrator.errors import ConfigError, CredentialError, EngineError, UnreachableError

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

TIMEOUT_S = 20.0
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A verified reply.

    Attributes:
        at: The time the authority vouches for, aware UTC.
        reply: Its raw bytes, a DER ``TimeStampResp``.
    """

    at: datetime
    reply: bytes


def request_timestamp(data: bytes, *, url: str, authority: Path) -> Timestamp:
    """Let an authority say that it saw these bytes.

    Args:
        data: What is stamped; only its SHA-512 leaves the machine.
        url: The authority's address, ``http`` or ``https``.
        authority: PEM file of its root certificate, and others on the way to its own.

    Raises:
        UnreachableError: It does not answer.
        CredentialError: It refuses.
        EngineError: Its reply is none, or not signed by it.
        ConfigError: The PEM file cannot be read.
    """
    from rfc3161_client import TimestampRequestBuilder

    query = TimestampRequestBuilder().data(data).build()
    reply = _post(url, query.as_bytes())
    return Timestamp(_verified(reply, data, authority, nonce=query.nonce), reply)


def verify_timestamp(reply: bytes, data: bytes, *, authority: Path) -> datetime:
    """Return the time that a kept reply vouches for.

    Args:
        reply: Its raw bytes.
        data: What was stamped.
        authority: PEM file of the authority's certificates.

    Raises:
        EngineError: It is no reply for these bytes, or not signed by this authority.
        ConfigError: The PEM file cannot be read.
    """
    return _verified(reply, data, authority, nonce=None)


def ask(url: str, query: bytes) -> bytes:
    """Send a request (DER) that somebody else has made, and return the reply, not verified.

    Raises:
        UnreachableError: The authority does not answer.
        CredentialError: It refuses.
        EngineError: It answers something else.
        ConfigError: The address is none.
    """
    return _post(url, query)


def _post(url: str, query: bytes) -> bytes:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(["site.toml: ledger.timestamp_url: must begin with http:// or https://"])
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        url, data=query, headers={"Content-Type": "application/timestamp-query"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            data: bytes = answer.read(_LARGEST + 1)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            raise CredentialError(
                f"the time-stamping authority refuses (HTTP {error.code})"
            ) from None
        raise EngineError(f"the time-stamping authority answers HTTP {error.code}") from None
    except (OSError, HTTPException) as error:
        raise UnreachableError(
            f"the time-stamping authority cannot be reached ({type(error).__name__})",
            hint="check ledger.timestamp_url in the site file",
        ) from None
    if len(data) > _LARGEST:
        raise EngineError("the time-stamping authority's reply is far too large")
    return data


def _verified(reply: bytes, data: bytes, authority: Path, *, nonce: int | None) -> datetime:
    from rfc3161_client import (
        VerificationError,
        VerifierBuilder,
        decode_timestamp_response,
    )

    roots, others = _certificates(authority)
    try:
        decoded: TimeStampResponse = decode_timestamp_response(reply)
        verifier = VerifierBuilder(roots=roots, intermediates=others, nonce=nonce).build()
        verifier.verify_message(decoded, data)
        at: datetime = decoded.tst_info.gen_time
    except VerificationError as error:
        raise EngineError(f"the authority's timestamp is refused: {error}", hint=_HINT) from None
    except ValueError:
        raise EngineError("the authority's reply is no timestamp", hint=_HINT) from None
    return at.astimezone(UTC)


_HINT = "check ledger.timestamp_url and ledger.timestamp_ca in the site file"


def _certificates(authority: Path) -> tuple[list[Any], list[Any]]:
    """Return the self-signed certificates of a file, and the others."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(authority.read_bytes())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it holds no certificate"
        raise ConfigError([f"site.toml: ledger.timestamp_ca: cannot be read: {why}"]) from None
    roots = [one for one in found if one.subject == one.issuer]
    if not roots:
        raise ConfigError(["site.toml: ledger.timestamp_ca: holds no root certificate"])
    return roots, [one for one in found if one.subject != one.issuer]
