"""The key file: 32 random bytes, readable by its owner only, that unwrap the keyring.

Knows nothing of the keyring itself.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import stat
from pathlib import Path

from orchestrator.errors import CredentialError, DamageError, EngineError, RefusedError
from orchestrator.keys.private_file import sync_folder
from orchestrator.keys.secret import Secret

KEY_BYTES = 32

_KIT_HINT = "orchestrator key check; a lost key file is restored from the recovery kit"


def create_key_file(path: Path) -> bytes:
    """Make a new key file, or take the one that is there already.

    One that is there was left by an attempt that was cut off; it is as good as a new one.

    Returns:
        The 32 bytes, which are on the disk now.

    Raises:
        CredentialError: A file is there that others may read or that somebody else owns.
        DamageError: A file is there that is no key file.
        EngineError: The disk refuses.
    """
    key = os.urandom(KEY_BYTES)
    return key if _write_new(path, key) else read_key_file(path)


def write_key_file(path: Path, site_key: Secret) -> None:
    """Write the site key of a recovery kit as a key file again.

    Args:
        path: Where; nothing may be there yet.
        site_key: As printed in the kit.

    Raises:
        CredentialError: The text is no site key.
        RefusedError: A file is there already.
        EngineError: The disk refuses.
    """
    key = decode_site_key(site_key)
    if not _write_new(path, key):
        raise RefusedError(
            f"{path} exists already and is not overwritten",
            hint="move it away if it is not the right one",
        )


def read_key_file(path: Path) -> bytes:
    """Return the 32 bytes of a key file.

    Raises:
        CredentialError: It is missing, may not be read, or others may read it.
        DamageError: It is no key file.
    """
    try:
        with path.open("rb") as stream:
            facts = os.fstat(stream.fileno())
            _check_private(path, facts)
            key = stream.read(KEY_BYTES + 1)
    except FileNotFoundError:
        raise CredentialError(f"the key file {path} is missing", hint=_KIT_HINT) from None
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise CredentialError(f"the key file {path} cannot be read: {why}") from None
    if len(key) != KEY_BYTES:
        raise DamageError(f"{path} is no key file: it must hold 32 bytes", hint=_KIT_HINT)
    return key


def key_file_id(key: bytes) -> str:
    """Return the public id of a key: tells two keys apart and nothing else."""
    return hmac.digest(key, b"orchestrator key file id", "sha256").hex()[:16]


def encode_site_key(key: bytes) -> Secret:
    """Return a key as it is printed in the recovery kit: base64."""
    return Secret(base64.b64encode(key).decode("ascii"))


def decode_site_key(site_key: Secret) -> bytes:
    """Return the key that a recovery kit prints.

    Raises:
        CredentialError: The text is no site key.
    """
    try:
        key = base64.b64decode("".join(site_key.reveal().split()), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise CredentialError("this is no site key: it must be 44 characters of base64")
    return key


def _write_new(path: Path, key: bytes) -> bool:
    """Write a file whole, durably, or not at all; False if one is there already."""
    partial = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, key)
            os.fsync(descriptor)
            linked = _link(partial, path)
        finally:
            os.close(descriptor)
            partial.unlink()
        sync_folder(path.parent)
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise EngineError(f"the key file {path} cannot be written: {why}") from error
    return linked


def _link(partial: Path, path: Path) -> bool:
    """Give a file its name, unless another has it: a rename would not care."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    return True


def _check_private(path: Path, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise DamageError(f"{path} is no key file: it is not a regular file")
    if facts.st_mode & 0o077:
        raise CredentialError(
            f"the key file {path} can be read or changed by others",
            hint=f"chmod 600 {path}; if others could really read it, change every key",
        )
    if facts.st_uid not in (0, os.geteuid()):
        raise CredentialError(
            f"the key file {path} belongs to another user", hint=f"chown it to the user of {path}"
        )
