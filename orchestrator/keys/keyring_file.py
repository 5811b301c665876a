"""The form of the keyring file, and how its keys are wrapped.

Pure: bytes in, values out. The form is documented in ``docs/keys.md`` and may only grow.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import CredentialError, DamageError
from orchestrator.keys.key_file import key_file_id

FORMAT = 1

Purpose = Literal["repository", "site"]

_NONCE_BYTES = 12
_HINT = "every copy holds an earlier state of the keyring: restore it with the recovery kit"


@dataclass(frozen=True, slots=True)
class Wrap:
    """One key, sealed under one key file.

    Attributes:
        key_file: Id of the key file that opens it (`key_file.key_file_id`).
        nonce: 12 bytes.
        sealed: The key's 32 bytes and the tag.
        provider: Always ``key-file`` so far.
    """

    key_file: str
    nonce: bytes
    sealed: bytes
    provider: Literal["key-file"] = "key-file"


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of the keyring.

    Attributes:
        purpose: A repository's password, or one of the site's own keys.
        name: Repository name, or which site key.
        repository_id: Restic's id of the repository, 64 hex digits; None before it is known.
        key_ids: Restic's key ids that are rightly in the repository, sorted.
        wraps: The key, once for each way to open it; none of a key that was destroyed.
        destroyed_at: When it was destroyed, ISO 8601 in UTC; None for a key that opens.
    """

    purpose: Purpose
    name: str
    repository_id: str | None = None
    key_ids: tuple[str, ...] = ()
    wraps: tuple[Wrap, ...] = ()
    destroyed_at: str | None = None


@dataclass(frozen=True, slots=True)
class KeyringFile:
    """What a keyring file says.

    Attributes:
        id: 32 hex digits.
        entries: In the order in which they were added.
    """

    id: str
    entries: tuple[Entry, ...]

    def find(self, purpose: Purpose, name: str) -> Entry | None:
        """Return an entry, or None."""
        for entry in self.entries:
            if (entry.purpose, entry.name) == (purpose, name):
                return entry
        return None

    def with_entry(self, entry: Entry) -> KeyringFile:
        """Return the same with one entry added or replaced."""
        same = [(one.purpose, one.name) == (entry.purpose, entry.name) for one in self.entries]
        if not any(same):
            return replace(self, entries=(*self.entries, entry))
        kept = [entry if hit else one for one, hit in zip(self.entries, same, strict=True)]
        return replace(self, entries=tuple(kept))

    def opens_with(self, key_file: str) -> bool:
        """Say whether every entry that was not destroyed has a wrap for a key file."""
        return all(
            entry.destroyed_at is not None or any(w.key_file == key_file for w in entry.wraps)
            for entry in self.entries
        )


def seal(file: KeyringFile, entry: Entry, secret: bytes, key: bytes) -> Entry:
    """Return the entry with one more wrap of a secret, under a key file's key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, secret, _context(file, entry))
    return replace(entry, wraps=(*entry.wraps, Wrap(key_file_id(key), nonce, sealed)))


def unseal(file: KeyringFile, entry: Entry, key: bytes) -> bytes:
    """Return an entry's secret.

    Raises:
        CredentialError: No wrap of the entry is for this key, or the entry's was destroyed.
        DamageError: The wrap is damaged or belongs elsewhere.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    wanted = key_file_id(key)
    for wrap in entry.wraps:
        if wrap.key_file == wanted:
            try:
                return AESGCM(key).decrypt(wrap.nonce, wrap.sealed, _context(file, entry))
            except (InvalidTag, ValueError):
                raise DamageError(
                    f"the keyring's key {entry.purpose} {entry.name} is damaged", hint=_HINT
                ) from None
    if entry.destroyed_at is not None:
        raise CredentialError(
            f"the key of {entry.purpose} {entry.name} was destroyed on {entry.destroyed_at[:10]}: "
            "nothing here opens it",
            hint="orchestrator key destroy list",
        )
    raise CredentialError(f"the key file does not open the key {entry.purpose} {entry.name}")


def encode(file: KeyringFile, key: bytes) -> bytes:
    """Return the file's bytes, with its keyed digest.

    Raises:
        CredentialError, DamageError: The integrity key cannot be unsealed.
    """
    body = _body(file)
    body["digest"] = _digest(file, key)
    body["sha256"] = hashlib.sha256(_canonical(body)).hexdigest()
    return json.dumps(body, indent=1).encode() + b"\n"


def decode(raw: bytes, path: Path) -> tuple[KeyringFile, str]:
    """Read a file's bytes; returns what it says and its keyed digest, not yet checked.

    Raises:
        DamageError: It is no keyring file, or damaged.
    """
    try:
        body = json.loads(raw)
        checksum = body.pop("sha256")
        if body["keyring"] != FORMAT:
            raise DamageError(
                f"the keyring {path} has format {body['keyring']!r}, which is not known",
                hint="a newer release wrote it: use that one",
            )
        if checksum != hashlib.sha256(_canonical(body)).hexdigest():
            raise DamageError(f"the keyring {path} is damaged", hint=_HINT)
        return KeyringFile(body["id"], tuple(_entry(one) for one in body["entries"])), body[
            "digest"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamageError(f"{path} is no keyring, or damaged", hint=_HINT) from None


def check_digest(file: KeyringFile, digest: str, key: bytes, path: Path) -> None:
    """Check the keyed digest of a file as read.

    Raises:
        DamageError: The file was changed by somebody without the key.
    """
    if not hmac.compare_digest(_digest(file, key).encode(), str(digest).encode()):
        raise DamageError(
            f"the keyring {path} was changed by something that does not have its key", hint=_HINT
        )


def _digest(file: KeyringFile, key: bytes) -> str:
    integrity = file.find("site", "integrity")
    if integrity is None:
        raise DamageError("the keyring has no integrity key", hint=_HINT)
    secret = unseal(file, integrity, key)
    return hmac.digest(secret, _canonical(_body(file)), "sha256").hex()


def _context(file: KeyringFile, entry: Entry) -> bytes:
    return _canonical(["orchestrator keyring", FORMAT, file.id, entry.purpose, entry.name])


def _canonical(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _body(file: KeyringFile) -> dict[str, Any]:
    return {
        "keyring": FORMAT,
        "id": file.id,
        "entries": [
            {
                "purpose": entry.purpose,
                "name": entry.name,
                "repository_id": entry.repository_id,
                "key_ids": list(entry.key_ids),
                "wraps": [
                    {
                        "provider": wrap.provider,
                        "key_file": wrap.key_file,
                        "nonce": base64.b64encode(wrap.nonce).decode(),
                        "sealed": base64.b64encode(wrap.sealed).decode(),
                    }
                    for wrap in entry.wraps
                ],
                # Only where there is one: keyrings of before stay the very bytes they were.
                **({} if entry.destroyed_at is None else {"destroyed_at": entry.destroyed_at}),
            }
            for entry in file.entries
        ],
    }


def _entry(body: dict[str, Any]) -> Entry:
    return Entry(
        purpose=body["purpose"],
        name=body["name"],
        repository_id=body["repository_id"],
        key_ids=tuple(body["key_ids"]),
        wraps=tuple(
            Wrap(
                key_file=wrap["key_file"],
                nonce=base64.b64decode(wrap["nonce"], validate=True),
                sealed=base64.b64decode(wrap["sealed"], validate=True),
                provider=wrap["provider"],
            )
            for wrap in body["wraps"]
        ),
        destroyed_at=body.get("destroyed_at"),
    )
