"""Encrypted fields and keyed pseudonyms.

Whatever names a person or a place in the store (paths, UIDs, patient identifiers) is kept only
as ciphertext, and looked up only by a keyed hash. Keys are handed in; this module must not know
where they come from, nor what a patient or a path means.
"""

from __future__ import annotations

import base64
import hmac
import os
import unicodedata
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orchestrator.errors import DamageError

KEY_BYTES = 32
PSEUDONYM_LENGTH = 16
PATH_KEY_LENGTH = 32

_VERSION = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEAD = len(_VERSION) + _NONCE_BYTES


class FieldCipher:
    """Encrypts single fields with AES-256-GCM.

    A field is version byte, 96-bit random nonce, ciphertext and tag. The context is
    authenticated, so a value moved to another row or column does not decrypt.

    One key may encrypt 2^32 fields: with a million files changed every night that is eleven
    years, after which a new key is due.

    Args:
        key: 32 secret bytes.

    Raises:
        ValueError: The key has another length.

    Source:
        NIST SP 800-38D, section 8.3 (random 96-bit nonces: at most 2^32 per key).
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a catalog key is {KEY_BYTES} bytes long")
        self._aead = AESGCM(key)

    def encrypt(self, plain: bytes, context: str) -> bytes:
        """Return the field; equal plaintexts give different fields.

        Args:
            plain: What to keep; may be empty.
            context: Where it is kept, e.g. ``file.path|<store>|<path key>``.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, plain, context.encode())

    def decrypt(self, field: bytes, context: str) -> bytes:
        """Return the plaintext.

        Raises:
            DamageError: The bytes were changed or moved, or the key is another one.
        """
        if len(field) < _HEAD + _TAG_BYTES or field[:1] != _VERSION:
            raise DamageError("an encrypted field of the catalog is cut short or of unknown form")
        try:
            return self._aead.decrypt(field[1:_HEAD], field[_HEAD:], context.encode())
        except InvalidTag as error:
            raise DamageError(
                "an encrypted field of the catalog was changed, moved, or made with another key",
                hint="orchestrator catalog rebuild --copy COPY",
            ) from error


class Pseudonyms:
    """Names studies, patients and paths by a keyed hash.

    The same key and identity always give the same pseudonym; without the key neither direction
    can be computed. Still personal data: they link the files of one person.

    Args:
        key: 32 secret bytes, other than the cipher's.

    Raises:
        ValueError: The key has another length.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a pseudonym key is {KEY_BYTES} bytes long")
        self._key = key

    def study(self, study_instance_uid: str) -> str:
        """Return a study's pseudonym, 16 characters of a-z and 2-7."""
        return self._short(b"study", _utf8(study_instance_uid))

    def series(self, series_instance_uid: str) -> str:
        """Return a series' pseudonym, 16 characters of a-z and 2-7."""
        return self._short(b"series", _utf8(series_instance_uid))

    def instance(self, sop_instance_uid: str) -> str:
        """Return an instance's pseudonym, 16 characters of a-z and 2-7."""
        return self._short(b"instance", _utf8(sop_instance_uid))

    def patient(self, issuer: str, patient_id: str) -> str | None:
        """Return a patient's pseudonym, or None for an empty patient id.

        An empty id belongs to nobody: everybody without one must not become one person.

        Args:
            issuer: Issuer of the patient id; may be empty. Compared without regard to case.
            patient_id: The id; compared in normal form NFKC, outer blanks ignored (they are
                padding in DICOM).
        """
        normal_id = unicodedata.normalize("NFKC", patient_id).strip()
        if not normal_id:
            return None
        normal_issuer = unicodedata.normalize("NFKC", issuer).strip().casefold()
        return self._short(b"patient", _utf8(normal_issuer), _utf8(normal_id))

    def path(self, store: str, path: bytes) -> str:
        """Return the key a file is looked up by, 32 lower-case hex digits."""
        return self._digest(b"path", _utf8(store), path).hex()[:PATH_KEY_LENGTH]

    def subject(self, kind: str, value: str) -> str:
        """Return the key a ledger's subject is looked up by, 32 lower-case hex digits."""
        return self._digest(b"subject", _utf8(kind), _utf8(value)).hex()[:PATH_KEY_LENGTH]

    def _short(self, prefix: bytes, *parts: bytes) -> str:
        encoded = base64.b32encode(self._digest(prefix, *parts)[:10])
        return encoded.decode("ascii")[:PSEUDONYM_LENGTH].lower()

    def _digest(self, prefix: bytes, *parts: bytes) -> bytes:
        """Hash the parts with their lengths, so that no two lists of parts look alike."""
        message = b"".join([b"%d:%b" % (len(part), part) for part in (prefix, *parts)])
        return hmac.digest(self._key, message, "sha256")


class FieldKeys(NamedTuple):
    """What the catalog's fields are encrypted and named with."""

    cipher: FieldCipher
    pseudonyms: Pseudonyms


def _utf8(text: str) -> bytes:
    """Encode any text: a header of a broken file may hold half a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")
