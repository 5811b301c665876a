"""Signed notes: a text, and under it lines of who signed it.

Knows keys and lines, not what the text says. Two kinds of Ed25519 signature: a log's own, and a
witness's, which signs the text together with its time.

Source: C2SP signed-note; C2SP tlog-cosignature (type 0x04).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

ED25519 = 1
"""Type of a signature of the note's text."""

COSIGNATURE = 4
"""Type of a witness's signature: of the text, with the time it was seen."""

LARGEST_NOTE = 131_072
"""In bytes: sixteen signatures of 5 kB, which every reader must bear, and room to spare."""

MOST_SIGNATURES = 64

_MARK = "— "
_KEY_SIZE = 32
_SIGNATURE_SIZE = 64


class Signer(Protocol):
    """Signs as one log; the key itself stays where it is."""

    @property
    def name(self) -> str:
        """The key's name, which is the log's origin."""
        ...

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the Ed25519 public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of an Ed25519 signature."""
        ...


class SeedSigner:
    """A signer whose key is derived from 32 random bytes.

    Args:
        name: The log's origin.
        seed: 32 bytes, secret.

    Raises:
        ValueError: The name may not be a key's name, or the seed is of another length.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        _demand_name(name)
        self._name = name
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()

    @property
    def name(self) -> str:
        """The key's name, which is the log's origin."""
        return self._name

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the Ed25519 public key."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of an Ed25519 signature."""
        return self._key.sign(message)


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name: what a `vkey` says.

    Attributes:
        name: The key's name.
        kind: `ED25519` or `COSIGNATURE`.
        public_key: 32 bytes.
    """

    name: str
    kind: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes by which signature lines name the key."""
        named = self.name.encode() + b"\n" + bytes([self.kind]) + self.public_key
        return hashlib.sha256(named).digest()[:4]

    @property
    def vkey(self) -> str:
        """The key as text: ``name+id+key``."""
        material = base64.b64encode(bytes([self.kind]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"

    def is_signed(self, text: bytes, signature: bytes) -> bool:
        """Say whether a signature, without its key id, is this key's under a text."""
        message = text
        if self.kind == COSIGNATURE:
            if len(signature) != 8 + _SIGNATURE_SIZE:
                return False
            message = cosigned_message(text, int.from_bytes(signature[:8], "big"))
            signature = signature[8:]
        return _is_valid(self.public_key, message, signature)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line.

    Attributes:
        name: Name of the key.
        key_id: Its four bytes.
        value: The signature itself; for a witness with 8 bytes of time before it.
    """

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> bytes:
        """The line as it stands in a note, with its newline."""
        value = base64.b64encode(self.key_id + self.value).decode()
        return f"{_MARK}{self.name} {value}\n".encode()


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note; worth nothing until `signers_of` has said who signed it.

    Attributes:
        text: The signed bytes, with their last newline.
        signatures: All lines, in order.
    """

    text: bytes
    signatures: tuple[Signature, ...]


def verifier_of(signer: Signer) -> Verifier:
    """Return the public side of a signer."""
    return Verifier(signer.name, ED25519, signer.public_key)


def parse_vkey(text: str) -> Verifier:
    """Return the key that a text such as ``example.com/log+530d903a+AekyeR…`` names.

    Raises:
        ValueError: It is no such text, the id does not fit, or the kind is not known here.
    """
    name, _, rest = text.strip().partition("+")
    key_id, _, material = rest.partition("+")
    _demand_name(name)
    data = strict_base64(material)
    if len(data) != 1 + _KEY_SIZE or data[0] not in (ED25519, COSIGNATURE):
        raise ValueError("is not an Ed25519 key")
    verifier = Verifier(name, data[0], data[1:])
    if verifier.key_id.hex() != key_id:
        raise ValueError("the key id does not fit the key")
    return verifier


def sign(text: bytes, signer: Signer) -> bytes:
    """Return a note with one signature.

    Args:
        text: What is signed; ends in a newline.
        signer: Who signs.
    """
    key_id = verifier_of(signer).key_id
    return text + b"\n" + Signature(signer.name, key_id, signer.sign(text)).line


def cosign(text: bytes, signer: Signer, *, timestamp: int) -> Signature:
    """Return a witness's signature of a checkpoint's text.

    Args:
        text: The note's text.
        signer: The witness.
        timestamp: When, in seconds since the epoch, 0 to 2**63 - 1.
    """
    key_id = Verifier(signer.name, COSIGNATURE, signer.public_key).key_id
    signature = signer.sign(cosigned_message(text, timestamp))
    return Signature(signer.name, key_id, timestamp.to_bytes(8, "big") + signature)


def cosigned_message(text: bytes, timestamp: int) -> bytes:
    """Return what a witness signs: the text, and the time in seconds since the epoch."""
    return b"cosignature/v1\ntime %d\n" % timestamp + text


def parse(data: bytes) -> Note:
    """Take a note apart.

    Raises:
        ValueError: It is no note: not UTF-8, control characters (a CR among them), no blank line,
            no or malformed signature lines, too long.
    """
    if len(data) > LARGEST_NOTE:
        raise ValueError(f"longer than {LARGEST_NOTE} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if any(character < " " and character != "\n" for character in whole):
        raise ValueError("holds a control character")
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or not text or not lines.endswith("\n"):
        raise ValueError("has no signature")
    found = [_parse_line(line) for line in lines[:-1].split("\n")]
    if len(found) > MOST_SIGNATURES:
        raise ValueError(f"has more than {MOST_SIGNATURES} signatures")
    return Note((text + "\n").encode(), tuple(found))


def signers_of(note: Note, known: Sequence[Verifier]) -> list[Verifier]:
    """Return which known keys signed a note, each once.

    Raises:
        ValueError: A known key's signature is wrong, or no known key signed.
    """
    by_name = {(verifier.name, verifier.key_id): verifier for verifier in known}
    found: list[Verifier] = []
    for signature in note.signatures:
        verifier = by_name.get((signature.name, signature.key_id))
        if verifier is None:
            continue
        if not verifier.is_signed(note.text, signature.value):
            raise ValueError(f"the signature of {verifier.name} is wrong")
        if verifier not in found:
            found.append(verifier)
    if not found:
        raise ValueError("is not signed by a known key")
    return found


def strict_base64(text: str) -> bytes:
    """Return what a base64 text stands for.

    Raises:
        ValueError: It is not the one base64 form of its bytes.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64") from None
    # Otherwise bits that no byte needs could be changed unseen.
    if base64.b64encode(data).decode() != text:
        raise ValueError("is not base64 in its one form")
    return data


_LINE = re.compile(r"— ([^ ]+) ([A-Za-z0-9+/]+=*)")


def _parse_line(line: str) -> Signature:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("has a malformed signature line")
    _demand_name(match[1])
    data = strict_base64(match[2])
    if len(data) < 5:
        raise ValueError("has a signature line without a signature")
    return Signature(match[1], data[:4], data[4:])


def _demand_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() for character in name):
        raise ValueError("is not the name of a key")


def _is_valid(public_key: bytes, message: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
