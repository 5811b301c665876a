"""Checkpoints: what a log commits to with its signature: its name, its size, its root.

The origin is the name of the log and of its key. It looks like an address but is none: it is the
practice's name as a host under ``.invalid``, which is nobody's (RFC 2606), then ``disposal`` and a
serial number from 1. A log that can no longer be signed, or whose key is replaced, is followed by
one with the next serial.

Source: C2SP tlog-checkpoint. No extension lines, and the key's name equals the origin, because
witnesses that exist demand both.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.ledger import note
from orchestrator.ledger.note import ED25519, Note, Signature, Signer, Verifier
from orchestrator.ledger.tree import EMPTY_ROOT, HASH_SIZE

LARGEST_SIZE = 2**53 - 1

_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_LONGEST_LABEL = 63


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose signature was verified, or that was signed here.

    Attributes:
        origin: The log's name.
        size: Its number of entries.
        root: Its root hash.
        data: The note as it is stored, with all its signature lines.
    """

    origin: str
    size: int
    root: bytes
    data: bytes

    @property
    def text(self) -> bytes:
        """What the log and witnesses signed."""
        return body(self.origin, self.size, self.root)

    def with_signatures(self, more: Sequence[Signature]) -> Checkpoint:
        """Return it with further signature lines, such as witnesses' cosignatures."""
        lines = b"".join(signature.line for signature in more)
        return Checkpoint(self.origin, self.size, self.root, self.data + lines)


def origin_of(practice: str, serial: int = 1) -> str:
    """Return the name of a practice's log, such as ``elm-street-dental.invalid/disposal/1``.

    Args:
        practice: The practice's name, in any script.
        serial: 1 for its first log.
    """
    latin = unicodedata.normalize("NFKD", practice).encode("ascii", "ignore").decode().lower()
    label = re.sub(r"[^a-z0-9]+", "-", latin).strip("-")[:_LONGEST_LABEL].strip("-")
    return f"{label or 'site'}.invalid/disposal/{serial}"


def body(origin: str, size: int, root: bytes) -> bytes:
    """Return the text of a checkpoint."""
    return f"{origin}\n{size}\n{b64encode(root).decode()}\n".encode()


def sign(signer: Signer, size: int, root: bytes) -> Checkpoint:
    """Return a signed checkpoint of the log that has the signer's name."""
    data = note.sign(body(signer.name, size, root), signer)
    return Checkpoint(signer.name, size, root, data)


def verify(data: bytes, known: Sequence[Verifier]) -> Checkpoint:
    """Return a checkpoint that the log itself signed.

    Args:
        data: The note.
        known: Keys that are trusted. The log's own must be among them; lines of witnesses that
            are among them are verified too.

    Raises:
        ValueError: It is no checkpoint, or not signed by a trusted key that has the log's name.
    """
    found = note.parse(data)
    origin, size, root = _parse_body(found)
    signers = note.signers_of(found, known)
    if not any(one.kind == ED25519 and one.name == origin for one in signers):
        raise ValueError("is not signed by the log that it names")
    return Checkpoint(origin, size, root, data)


def unverified(data: bytes) -> Checkpoint:
    """Return what a checkpoint says without asking who signed it.

    Raises:
        ValueError: It is no checkpoint.
    """
    return Checkpoint(*_parse_body(note.parse(data)), data)


def _parse_body(found: Note) -> tuple[str, int, bytes]:
    lines = found.text.decode()[:-1].split("\n")
    if len(lines) != 3:
        raise ValueError("does not consist of origin, size and root")
    origin, size, root = lines
    if not origin or _SIZE.fullmatch(size) is None or int(size) > LARGEST_SIZE:
        raise ValueError("does not consist of origin, size and root")
    hashed = note.strict_base64(root)
    if len(hashed) != HASH_SIZE or (int(size) == 0 and hashed != EMPTY_ROOT):
        raise ValueError("has a root that no log of its size has")
    return origin, int(size), hashed
