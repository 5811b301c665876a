"""The command lines by which snapshots are rewritten, and looked into afterwards. Pure.

As in `argv`: nothing secret, nothing that names an image. What is to be left out goes through a
file descriptor.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.engines.restic.argv import full_id
from orchestrator.errors import UsageError


def rewrite(ids: Sequence[str], exclude_fd: int) -> tuple[str, ...]:
    """Store snapshots anew without some paths; the old ones stay.

    The new ones get the tag ``rewrite`` and keep time, host, paths and tags.

    Args:
        ids: Full ids.
        exclude_fd: File descriptor with the patterns of what to leave out.

    Raises:
        UsageError: An id is malformed, or there is none: restic would take that for all.
    """
    if not ids:
        raise UsageError("no snapshot was named")
    return ("rewrite", "--exclude-file", f"/dev/fd/{exclude_fd}", *(full_id(one) for one in ids))


def diff(before: str, after: str) -> tuple[str, ...]:
    """Compare two snapshots, content and metadata.

    Raises:
        UsageError: An id is malformed.
    """
    return ("diff", "--metadata", full_id(before), full_id(after))


def list_blobs() -> tuple[str, ...]:
    """List every blob the index names."""
    return ("list", "blobs")


def count_used() -> tuple[str, ...]:
    """Count what all snapshots together need."""
    return ("stats", "--mode", "raw-data")


def list_index() -> tuple[str, ...]:
    """List the ids of the index files."""
    return ("list", "index")


def cat_index(index: str) -> tuple[str, ...]:
    """Show one index file.

    Raises:
        UsageError: The id is malformed.
    """
    return ("cat", "index", full_id(index))
