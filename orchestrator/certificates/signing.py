"""Signs a PDF: PAdES baseline B-B, or B-T with the time of an authority. Knows pyHanko.

The signature is invisible: a visible one would bring a font that is not embedded and break PDF/A.
It covers the whole file; nothing is added afterwards.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.certificates.identity import Identity, PemIdentity, TokenIdentity, check_pem
from orchestrator.certificates.tokens import demand_intact, token_signer
from orchestrator.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from pyhanko.sign.signers import Signer
    from pyhanko.sign.timestamps import TimeStamper

FIELD = "Signature"

Exchange = Callable[[bytes], bytes]
"""Sends an RFC 3161 request (DER) to an authority and returns its reply (DER)."""


@dataclass(frozen=True, slots=True)
class Signing:
    """What is written into the signature besides the key.

    Attributes:
        reason: Why it was signed.
        place: Where; None if not stated.
        exchange: Asks a time stamping authority; None for none.
    """

    reason: str
    place: str | None = None
    exchange: Exchange | None = None


def sign(pdf: bytes, identity: Identity, how: Signing, *, at: dt.datetime) -> bytes:
    """Return the signed PDF.

    Args:
        pdf: An unsigned PDF.
        identity: Whose signature.
        how: What it says.
        at: Time of signing by our clock, aware.

    Raises:
        CredentialError: Key or token cannot be used.
        ConfigError: The certificate does not fit the key, or there is no support for tokens.
        EngineError: The authority did not stamp the time, or the PDF cannot be signed.
    """
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.sign.fields import SigSeedSubFilter
    from pyhanko.sign.general import SigningError
    from pyhanko.sign.signers import PdfSignatureMetadata
    from pyhanko.sign.timestamps import TimestampRequestError

    asked: list[EngineError] = []
    metadata = PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha256",
        location=how.place,
        reason=how.reason,
        subfilter=SigSeedSubFilter.PADES,
        embed_validation_info=False,
    )
    stamper = None if how.exchange is None else _stamper(how.exchange, asked)
    try:
        with _signer(identity) as signer:
            writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
            signed = _pdf_signer(metadata, signer, stamper, at).sign_pdf(writer)
    except (TimestampRequestError, OSError) as error:
        if asked:
            raise asked[0] from None
        raise EngineError(
            f"the certificate was not signed: the time stamping authority: {error}",
            hint="check certificates.timestamp_url in the site file, or leave it out",
        ) from None
    except (SigningError, PdfError, ValueError) as error:
        raise EngineError(f"the certificate was not signed: {error}") from None
    made = bytes(signed.getvalue() if isinstance(signed, io.BytesIO) else signed.read())
    if isinstance(identity, TokenIdentity):
        demand_intact(made)
    return made


@contextmanager
def _signer(identity: Identity) -> Iterator[Signer]:
    if isinstance(identity, TokenIdentity):
        with token_signer(identity, _certificates(identity.certificate)) as signer:
            yield signer
    else:
        yield _pem_signer(identity)


def _pem_signer(identity: PemIdentity) -> Signer:
    from asn1crypto import keys
    from cryptography.hazmat.primitives import serialization
    from pyhanko.sign.signers import SimpleSigner
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    check_pem(identity)
    private = serialization.load_pem_private_key(identity.key, identity.passphrase)
    der = private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    own, *others = _certificates(identity.certificate)
    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    store.register_multiple(others)
    return SimpleSigner(
        signing_cert=own, signing_key=keys.PrivateKeyInfo.load(der), cert_registry=store
    )


def _pdf_signer(metadata: Any, signer: Signer, stamper: TimeStamper | None, at: dt.datetime) -> Any:
    """Return pyHanko's signer with our time: it would read the machine's clock itself."""
    from pyhanko.sign.signers import PdfSigner

    class Dated(PdfSigner):
        def init_signing_session(self, *arguments: Any, **named: Any) -> Any:
            session = super().init_signing_session(*arguments, **named)
            session.system_time = at
            return session

    return Dated(metadata, signer=signer, timestamper=stamper)


def _certificates(pem: bytes) -> list[Any]:
    from pyhanko.keys import load_certs_from_pemder_data

    found = list(load_certs_from_pemder_data(pem))
    if not found:
        raise ConfigError(["certificates: the signer's certificate is no PEM certificate"])
    return found


def _stamper(exchange: Exchange, asked: list[EngineError]) -> TimeStamper:
    """Give pyHanko a way to the authority that is ours: no network from here."""
    from asn1crypto import tsp
    from pyhanko.sign.timestamps import TimeStamper, TimestampRequestError

    class Stamper(TimeStamper):
        async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
            try:
                reply = await asyncio.to_thread(exchange, req.dump())
            except EngineError as error:
                asked.append(error)
                raise TimestampRequestError(error.message) from None
            try:
                parsed = tsp.TimeStampResp.load(reply, strict=True)
                _ = parsed.native
            except (ValueError, TypeError):
                raise TimestampRequestError("the reply is no timestamp") from None
            return parsed

    return Stamper()  # type: ignore[no-untyped-call]
