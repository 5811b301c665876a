"""The command lines of restic, built by pure functions.

Nothing here is secret and nothing names an image: the password comes through a pipe, the paths
to restore through a file descriptor, and the folder to back up is the working directory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import UsageError

HOST = "orchestrator"
"""The host name in every snapshot: pinned, so that moving to another machine changes nothing."""

PACK_SIZE_MIB = "64"
"""How large a pack is made, at a backup as at a prune."""

_GROUP_BY = "host,paths"
_FULL_ID = re.compile(r"[0-9a-f]{64}")
_TAG = re.compile(r"[^,\s\x00]+")


@dataclass(frozen=True, slots=True)
class Opening:
    """How a repository is opened.

    Attributes:
        program: Path of restic.
        location: Where the repository is, as restic writes it; never with a credential.
        cache_dir: restic's cache; None uses none, so that nothing it holds can hide damage.
        read_only: The repository is a replica: no lock is taken and no cache used.
    """

    program: str
    location: str
    cache_dir: Path | None
    read_only: bool


def opening(how: Opening, *, password_fd: int, lock: bool = True) -> tuple[str, ...]:
    """Return the start of every command line.

    Args:
        how: How the repository is opened.
        password_fd: File descriptor from which the password can be read once.
        lock: Take a lock where locks are kept.
    """
    argv = [how.program, "--repo", how.location, "--json"]
    argv += ["--password-command", f"cat /dev/fd/{password_fd}"]
    if how.read_only or not lock:
        argv.append("--no-lock")
    if how.read_only or how.cache_dir is None:
        argv.append("--no-cache")
    else:
        argv += ["--cache-dir", str(how.cache_dir)]
    return tuple(argv)


def retry_lock(seconds: int) -> tuple[str, ...]:
    """Return the option that waits for another's lock; none for 0 seconds."""
    return ("--retry-lock", f"{seconds}s") if seconds > 0 else ()


def init() -> tuple[str, ...]:
    """Make a repository."""
    return ("init", "--repository-version", "2")


def cat_config() -> tuple[str, ...]:
    """Show the repository's config."""
    return ("cat", "config")


def backup(tags: Sequence[str], *, parent: str | None) -> tuple[str, ...]:
    """Back up the working directory; its content lies at the snapshot's root.

    Args:
        tags: Tags of the snapshot.
        parent: Full id of the snapshot to compare with; None lets restic take the newest one of
            the same folder.

    Raises:
        UsageError: A tag or the parent's id is malformed.
    """
    argv = [*_new_snapshot(tags), "--no-scan"]
    if parent is not None:
        argv += ["--parent", full_id(parent)]
    return (*argv, ".")


def backup_stream(name: str, tags: Sequence[str], *, at: datetime | None = None) -> tuple[str, ...]:
    """Back up standard input as one file at the snapshot's root.

    Args:
        name: The file's name.
        tags: Tags of the snapshot.
        at: The snapshot's time, aware, to the second; None for now.

    Raises:
        UsageError: The name is not a plain file name, or a tag is malformed.
    """
    if not name or "/" in name or "\x00" in name:
        raise UsageError("a stream is stored under a plain file name")
    # restic reads the time in the zone of its environment, which is UTC.
    time = () if at is None else ("--time", f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}")
    return (*_new_snapshot(tags), *time, "--stdin", "--stdin-filename", name)


def _new_snapshot(tags: Sequence[str]) -> list[str]:
    argv = ["backup", "--host", HOST, "--group-by", _GROUP_BY, "--pack-size", PACK_SIZE_MIB]
    for tag in tags:
        argv += ["--tag", _checked_tags([tag])]
    return argv


def snapshots(*, ids: Sequence[str], tags: Sequence[str]) -> tuple[str, ...]:
    """List snapshots, all or those named, with all of the tags.

    Raises:
        UsageError: An id or a tag is malformed.
    """
    return ("snapshots", *tag_filter(tags), *(full_id(one) for one in ids))


def ls(snapshot_id: str) -> tuple[str, ...]:
    """List what is in a snapshot.

    Raises:
        UsageError: The id is malformed.
    """
    return ("ls", full_id(snapshot_id))


def dump(snapshot_id: str, path: str) -> tuple[str, ...]:
    """Write one file of a snapshot to standard output.

    Raises:
        UsageError: The id is malformed.
    """
    return ("dump", full_id(snapshot_id), "/" + path.lstrip("/"))


def restore(
    snapshot_id: str,
    target: Path,
    *,
    include_fd: int | None = None,
    exclude_fd: int | None = None,
    each_file: bool = False,
) -> tuple[str, ...]:
    """Restore a snapshot; runs of zeros come back as holes, so that a sparse file stays one.

    Args:
        snapshot_id: Full id.
        target: Where to; files that are there already are left alone.
        include_fd: File descriptor with the patterns of what to restore; None restores all.
        exclude_fd: The same of what to leave out; restic takes only one of the two.
        each_file: Report each file when its content is whole.

    Raises:
        UsageError: The id is malformed.
    """
    argv = ["restore", full_id(snapshot_id), "--target", str(target)]
    argv += ["--overwrite", "never", "--sparse"]
    if include_fd is not None:
        argv += ["--include-file", f"/dev/fd/{include_fd}"]
    if exclude_fd is not None:
        argv += ["--exclude-file", f"/dev/fd/{exclude_fd}"]
    if each_file:
        argv.append("--verbose=2")
    return tuple(argv)


def full_id(text: str) -> str:
    """Return an id that is written in full.

    Raises:
        UsageError: It is not; a short id may mean another snapshot tomorrow, `latest` does.
    """
    if _FULL_ID.fullmatch(text) is None:
        raise UsageError("an id of restic is given in full, as 64 hexadecimal digits")
    return text


def tag_filter(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the option that asks for snapshots with all of these tags; none for no tags.

    Raises:
        UsageError: A tag is malformed.
    """
    return ("--tag", _checked_tags(tags)) if tags else ()


def _checked_tags(tags: Sequence[str]) -> str:
    for tag in tags:
        if _TAG.fullmatch(tag) is None:
            raise UsageError("a tag is one word without a comma")
    return ",".join(tags)
