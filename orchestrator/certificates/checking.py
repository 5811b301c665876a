"""Reads a signed PDF: who signed which bytes of it, and what is attached. Knows pyHanko.

A PDF from outside is hostile: it is held to one signature over the whole file and to a size, and
whatever cannot be read is a finding, never an exception that ends the work.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import DamageError

LARGEST = 64 * 1024 * 1024
"""Bytes of the largest PDF that is read, and of the largest attached file."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a PDF's signature is worth.

    Attributes:
        intact: The signed bytes are those that were signed.
        trusted: The signer is one of those who were asked for.
        whole: It covers the whole file, and is the only one.
        signer: SHA-256 of the signer's certificate, in hex.
        signer_name: As the certificate names the signer.
        stamped_at: Time that an authority stamped, in ISO 8601; None for none.
        stamp_sound: The stamp is intact and by the authority asked for; None if there is none.
    """

    intact: bool
    trusted: bool
    whole: bool
    signer: str
    signer_name: str
    stamped_at: str | None = None
    stamp_sound: bool | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A signed PDF, taken apart.

    Attributes:
        signature: What its signature is worth.
        files: Attached files by name.
    """

    signature: Signature
    files: dict[str, bytes] = field(default_factory=dict)


def open_pdf(pdf: bytes, trusted: Sequence[bytes], stampers: Sequence[bytes] = ()) -> Opened:
    """Check a PDF's signature and read what is attached.

    Args:
        pdf: The whole file.
        trusted: PEM certificates of signers, or of their authorities, that are trusted.
        stampers: PEM certificates of time stamping authorities that are trusted.

    Raises:
        DamageError: It is no PDF with a signature that can be read.
    """
    if len(pdf) > LARGEST:
        raise DamageError("the file is too large to be a certificate")
    # pyHanko logs what it finds wrong, with a stack; what is found is told by us.
    log = logging.getLogger("pyhanko")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        return _open(pdf, trusted, stampers)
    except DamageError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged PDF can fail in any way in the parser
        raise DamageError(
            f"the file cannot be read as a signed PDF ({type(error).__name__})"
        ) from None
    finally:
        log.setLevel(level)


def signer_of(pdf: bytes) -> str:
    """Return the SHA-256 of the certificate that a PDF's only signature names, in hex.

    Raises:
        DamageError: There is none.
    """
    return open_pdf(pdf, ()).signature.signer


def signer_certificate(pdf: bytes) -> bytes:
    """Return the certificate that a PDF's only signature names, as PEM; not checked.

    Raises:
        DamageError: There is none.
    """
    from asn1crypto import pem
    from pyhanko.pdf_utils.reader import PdfFileReader

    try:
        reader = PdfFileReader(io.BytesIO(pdf))
        der = reader.embedded_signatures[0].signer_cert.dump()
        return bytes(pem.armor("CERTIFICATE", der))
    except Exception:  # noqa: BLE001 - as in open_pdf
        raise DamageError("the file has no signature that can be read") from None


def _open(pdf: bytes, trusted: Sequence[bytes], stampers: Sequence[bytes]) -> Opened:
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    reader = PdfFileReader(io.BytesIO(pdf))
    found = reader.embedded_signatures
    if not found:
        raise DamageError("the file has no signature")
    one = found[0]
    status = validate_pdf_signature(
        one,
        signer_validation_context=_context(trusted, one.self_reported_timestamp),
        ts_validation_context=_context(stampers, None),
        skip_diff=True,
    )
    covered = status.coverage == SignatureCoverageLevel.ENTIRE_FILE
    stamp = status.timestamp_validity
    signature = Signature(
        intact=bool(status.intact and status.valid),
        trusted=bool(status.trusted),
        whole=covered and len(found) == 1 and _to_the_end(pdf, one.byte_range),
        signer=one.signer_cert.sha256.hex(),
        signer_name=one.signer_cert.subject.human_friendly,
        stamped_at=None if stamp is None else stamp.timestamp.isoformat(),
        stamp_sound=None if stamp is None else bool(stamp.intact and stamp.valid and stamp.trusted),
    )
    return Opened(signature, _attached(reader))


def _to_the_end(pdf: bytes, ranges: Any) -> bool:
    """Say whether the signed ranges begin and end with the file, with one gap between."""
    start, first, second, last = (int(number) for number in ranges)
    return start == 0 and 0 < first < second and second + last == len(pdf)


def _context(pems: Sequence[bytes], moment: Any) -> Any:
    """Trust nobody but those given; ask nothing of the network.

    The signer's certificate is judged as of the time of signing: the ledger proves that time, and a
    certificate of destruction outlives the certificate of its signer.
    """
    from pyhanko.keys import load_certs_from_pemder_data
    from pyhanko_certvalidator import ValidationContext

    roots = [one for pem in pems for one in load_certs_from_pemder_data(pem)]
    return ValidationContext(
        trust_roots=roots, allow_fetching=False, moment=moment, best_signature_time=moment
    )


def _attached(reader: Any) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    names = reader.root["/Names"]["/EmbeddedFiles"]
    for name, reference in _leaves(names, 0):
        specification = reference.get_object() if hasattr(reference, "get_object") else reference
        stream = specification["/EF"]["/F"].get_object()
        if str(name) in files or len(stream.data) > LARGEST:
            raise DamageError("the attached files cannot be told apart")
        files[str(name)] = bytes(stream.data)
    return files


def _leaves(node: Any, depth: int) -> list[tuple[Any, Any]]:
    if depth > 8:
        raise DamageError("the attached files are nested too deeply")
    found: list[tuple[Any, Any]] = []
    pairs = node.get("/Names", ())
    found += [(pairs[at], pairs[at + 1]) for at in range(0, len(pairs), 2)]
    for kid in node.get("/Kids", ()):
        found += _leaves(kid, depth + 1)
    return found
