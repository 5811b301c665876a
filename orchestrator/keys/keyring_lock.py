"""The keyring's folder, and the lock under which the keyring is changed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import EngineError


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
