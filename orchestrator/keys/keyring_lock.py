"""The keyring on the disk: its folder, how it is read, the lock under which it is changed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import CredentialError, EngineError
from orchestrator.keys.key_file import key_file_id
from orchestrator.keys.keyring_file import KeyringFile, check_digest, decode


def make_folder(folder: Path) -> None:
    """Make the folder, for nobody but its owner, if it is not there.

    Raises:
        EngineError: The disk refuses.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise EngineError(f"the folder {folder} cannot be made: {why}") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the keyring's lock; changes are short, so waiting is right.

    Raises:
        EngineError: The disk refuses.
    """
    try:
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise EngineError(f"the keyring {path} cannot be locked: {why}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read(path: Path, key: bytes) -> KeyringFile:
    """Return what a keyring file says, once it is known to be the one this key wrote.

    Raises:
        CredentialError: It is missing, may not be read, or the key does not belong to it.
        DamageError: It is damaged, or was changed by somebody without the key.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise CredentialError(
            f"the keyring {path} is missing",
            hint="every copy holds one: restore it with the recovery kit",
        ) from None
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise CredentialError(f"the keyring {path} cannot be read: {why}") from None
    file, digest = decode(raw, path)
    if not file.opens_with(key_file_id(key)):
        raise CredentialError(
            f"the key file does not belong to the keyring {path}",
            hint="use the key file of this site, or the site key of its recovery kit",
        )
    check_digest(file, digest, key, path)
    return file
