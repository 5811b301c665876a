"""The export for an auditor: one ZIP that verifies with nothing from us.

Holds the log's own files, what lies beside it, a list of hashes, the verifier in one file, and a
page that shows the same check with openssl and sha256sum. Knows no site; what goes in is handed in.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path

from orchestrator.errors import EngineError, UsageError
from orchestrator.ledger import sums
from orchestrator.ledger.note import parse_vkey
from orchestrator.ledger.reader import Reader
from orchestrator.ledger.tiles import ENTRIES, WIDTH, Place

PAGE = "README-VERIFY.html"
VERIFIER = "verify_ledger.py"

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # equal contents give equal bytes


@dataclass(frozen=True, slots=True)
class About:
    """What the page says of the export.

    Attributes:
        practice: Whose ledger it is.
        vkey: The ledger's public key.
        reader: The ledger as of the exported checkpoint.
        stamped: Sizes of the checkpoints that an authority stamped.
    """

    practice: str
    vkey: str
    reader: Reader
    stamped: tuple[int, ...] = ()


def write_bundle(
    to: Path,
    about: About,
    *,
    log: Iterable[tuple[str, bytes]],
    beside: Iterable[tuple[str, bytes]],
) -> int:
    """Write an export; nothing is overwritten, and a part of one never has its name.

    Args:
        to: The ZIP file.
        about: For the page.
        log: The log's files with their paths.
        beside: Certificates, timestamps and what else belongs to it, with their paths.

    Returns:
        How many files are in it.

    Raises:
        UsageError: The file exists, or its folder does not.
        EngineError: The disk refuses.
        DamageError: A file of the log is missing.
    """
    if to.exists():
        raise UsageError(f"{to} exists already", hint="choose another name")
    part = to.with_name(f".{to.name}.partial")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            _fill(archive, about, log, beside)
            count = len(archive.namelist())
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(to)
    except FileNotFoundError:
        raise UsageError(f"{to}: there is no such folder") from None
    except OSError as error:
        raise EngineError(
            f"{to} cannot be written: {(error.strerror or 'error').lower()}"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return count


def _fill(
    archive: zipfile.ZipFile,
    about: About,
    log: Iterable[tuple[str, bytes]],
    beside: Iterable[tuple[str, bytes]],
) -> None:
    for path, data in log:
        _add(archive, path, data)
    hashes: dict[str, str] = {}
    verifier = resources.files("orchestrator.ledger.standalone") / VERIFIER
    own = [(VERIFIER, verifier.read_bytes()), (PAGE, page(about).encode())]
    for found in (own, beside):
        for path, data in found:
            _add(archive, path, data)
            hashes[path] = hashlib.sha256(data).hexdigest()
    _add(archive, sums.SUMS, sums.encode(hashes))


def _add(archive: zipfile.ZipFile, path: str, data: bytes) -> None:
    info = zipfile.ZipInfo(path, _LONG_AGO)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = (0o755 if path == VERIFIER else 0o644) << 16
    archive.writestr(info, data)


def fingerprint(vkey: str) -> str:
    """Return what two people can compare over the telephone: 32 hex digits, in fours."""
    digits = hashlib.sha256(parse_vkey(vkey).public_key).hexdigest()[:32]
    return " ".join(digits[at : at + 4] for at in range(0, 32, 4))


def page(about: About) -> str:
    """Return the page that explains how to verify the export without us."""
    checkpoint = about.reader.checkpoint
    text = resources.files("orchestrator.ledger") / "verify.html"
    last = checkpoint.size - 1
    bundle = Place(ENTRIES, last // WIDTH, min(WIDTH, checkpoint.size - last // WIDTH * WIDTH))
    tile = Place(0, bundle.index, bundle.width)
    skipped = sum(2 + len(one.data) for one in about.reader.entries(bundle.index * WIDTH, last))
    values = {
        "practice": about.practice,
        "origin": checkpoint.origin,
        "size": str(checkpoint.size),
        "vkey": about.vkey,
        "fingerprint": fingerprint(about.vkey),
        "last": str(last),
        "bundle": bundle.path,
        "tile": tile.path,
        "entry_at": str(skipped + 3),
        "entry_length": str(len(about.reader.entry(last))),
        "hash_at": str(last % WIDTH * 32 + 1),
    }
    html = text.read_text(encoding="utf-8")
    for name, value in values.items():
        html = html.replace("{{" + name + "}}", escape(value))
    stamps = "".join(_stamp_commands(size) for size in about.stamped)
    return html.replace("{{stamps}}", stamps or "<p>No timestamp is in this export.</p>")


def _stamp_commands(size: int) -> str:
    return (
        f"<pre class='try'>stamped=$(mktemp)\n"
        f"sed '/^$/,$d' checkpoints/{size} > $stamped\n"
        f"openssl ts -verify -data $stamped -in timestamps/{size}.tsr "
        "-CAfile timestamps/authority.pem</pre>\n"
    )
