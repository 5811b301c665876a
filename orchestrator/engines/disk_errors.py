"""What a disk's errors mean to the person who has to act on them.

Knows errno values and words, nothing else.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.errors import CredentialError, EngineError, OrchestratorError, UnreachableError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_GONE = frozenset(
    {
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOMEDIUM,
        errno.ESTALE,
        errno.ENOTCONN,
        errno.ESHUTDOWN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ETIMEDOUT,
        errno.EREMOTEIO,
    }
)
_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST})


@contextmanager
def disk_errors(copy: str, doing: str) -> Iterator[None]:
    """Turn every `OSError` of the block into an error a person can act on.

    Args:
        copy: Name of the copy, for the message.
        doing: What was being done, as a clause: ``storing a data file``.

    Raises:
        UnreachableError: The disk or share went away.
        CredentialError: Access is refused.
        EngineError: Any other failure of the disk.
    """
    try:
        yield
    except OSError as error:
        raise explain(copy, doing, error) from error


def explain(copy: str, doing: str, error: OSError) -> OrchestratorError:
    """Return the error to raise for a disk's `OSError`; it names no path."""
    code = error.errno or 0
    what = f"copy {copy}: {doing}"
    if code in _FULL:
        return EngineError(
            f"{what}: no space left",
            hint="free space on it or use a larger one; the next run goes on from here",
        )
    if code == errno.EROFS:
        return EngineError(
            f"{what}: the file system is read-only",
            hint="a write-protect switch, or the kernel found errors: run fsck, mount it again",
        )
    if code == errno.EIO:
        return EngineError(
            f"{what}: the device reports an input/output error",
            hint="it was pulled out or is failing: look at dmesg, try another cable or disk",
        )
    if code in _GONE:
        return UnreachableError(
            f"{what}: it went away ({os.strerror(code)})",
            hint="connect and mount it again; the next run goes on from here",
        )
    if code in (errno.EACCES, errno.EPERM):
        return CredentialError(
            f"{what}: access is refused ({os.strerror(code)})",
            hint="give the account that runs orchestrator access to the copy's folder",
        )
    if code in _IN_THE_WAY:
        return EngineError(
            f"{what}: something else stands where a folder or file of the repository must be",
            hint="symbolic links are not followed inside a copy; move it away",
        )
    return EngineError(f"{what}: {os.strerror(code) if code else type(error).__name__}")
