"""What the errors of a copy's disk mean to the person who has to act on them: words only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator import disk_faults
from orchestrator.disk_faults import Kind, Words
from orchestrator.errors import OrchestratorError

_WORDS: dict[Kind, Words] = {
    "full": Words(
        "no space left",
        "free space on it or use a larger one; the next run goes on from here",
    ),
    "read-only": Words(
        "the file system is read-only",
        "a write-protect switch, or the kernel found errors: run fsck, mount it again",
    ),
    "broken": Words(
        "the device reports an input/output error",
        "it was pulled out or is failing: look at dmesg, try another cable or disk",
    ),
    "gone": Words(
        "it went away ({reason})",
        "connect and mount it again; the next run goes on from here",
    ),
    "refused": Words(
        "access is refused ({reason})",
        "give the account that runs orchestrator access to the copy's folder",
    ),
    "in the way": Words(
        "something else stands where a folder or file of the repository must be",
        "symbolic links are not followed inside a copy; move it away",
    ),
}


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
    return disk_faults.explain(f"copy {copy}: {doing}", error, _WORDS)
