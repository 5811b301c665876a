"""Writing a certificate's file to where a person wants it, unchanged."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.actions.certificates import certify
from orchestrator.actions.certificates import files as places
from orchestrator.actions.site import Site
from orchestrator.errors import EngineError, RefusedError


def export(site: Site, number: str, target: Path, *, as_record: bool = False) -> str:
    """Write a certificate's PDF or record to a new file.

    Args:
        site: The site.
        number: The certificate.
        target: The new file; nothing may be there yet.
        as_record: The JSON record in place of the PDF.

    Returns:
        SHA-256 of the file, in hex.

    Raises:
        NotFoundError: There is no such certificate, or its file is gone.
        RefusedError: It was never issued, or the target exists.
        DamageError: The file is not what was recorded.
        EngineError: The disk refuses.
    """
    found, _ = certify.get(site, number)
    sha256 = found.record_sha256 if as_record else found.pdf_sha256
    if found.issued_index is None or sha256 is None:
        raise RefusedError(
            f"certificate {number} was not issued: it is {found.state}",
            hint="orchestrator certificate settle",
        )
    path = found.record if as_record else found.pdf
    content = places.read_as(path, sha256, f"the file of certificate {number}")
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
    except FileExistsError:
        raise RefusedError(f"{target.name} exists already", hint="choose another name") from None
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise EngineError(f"{target.name} cannot be written: {why}") from None
    return sha256
