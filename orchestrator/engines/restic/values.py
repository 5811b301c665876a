"""What restic reports, as plain values.

Pure. Nothing here knows how restic writes them; fields that hold paths are left out of ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backup or restore is.

    Attributes:
        files_done: Files finished, 0 or more.
        bytes_done: Bytes finished, 0 or more.
        files_total: Files in all; 0 if restic does not know.
        bytes_total: Bytes in all; 0 if restic does not know.
    """

    files_done: int
    bytes_done: int
    files_total: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One file restic could not take. PHI: for the manifest, never for a message.

    Attributes:
        item: Its path as restic writes it (bytes that are not UTF-8 are lost).
        during: What restic was doing.
    """

    item: str = field(repr=False)
    during: str


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """A finished backup.

    Attributes:
        snapshot_id: Full id.
        files_new: Files not in the parent.
        files_changed: Files that differ from the parent.
        files_unmodified: Files taken over from the parent unread.
        files: All files processed.
        bytes: Bytes of all files processed.
        bytes_added: Bytes new to the repository before compression.
        bytes_added_packed: The same as stored.
        started_at: When it started, aware UTC; the snapshot's time.
        duration_s: Seconds it took.
        partial: Some files could not be read (exit code 3); the snapshot is incomplete.
        problems: The first 1,000 of them.
        problems_total: How many there were.
    """

    snapshot_id: str
    files_new: int
    files_changed: int
    files_unmodified: int
    files: int
    bytes: int
    bytes_added: int
    bytes_added_packed: int
    started_at: datetime
    duration_s: float
    partial: bool = False
    problems: tuple[FileProblem, ...] = ()
    problems_total: int = 0


@dataclass(frozen=True, slots=True)
class RestoreSummary:
    """A finished restore. Files restic counts include directories.

    Attributes:
        files: What was to be restored.
        files_restored: What was written.
        files_skipped: What was there already and left alone.
        bytes: Bytes that were to be restored.
        bytes_restored: Bytes written.
    """

    files: int
    files_restored: int
    files_skipped: int
    bytes: int
    bytes_restored: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as restic lists it.

    Attributes:
        id: Full id.
        time: Aware UTC.
        tree: Id of its root tree.
        tags: Tags.
        paths: What was backed up, as absolute paths.
        hostname: Host it was made on.
        parent: Full id of the snapshot it was compared with; None if there was none.
        original: Id before a rewrite or change of tags; None if there was none.
        files: Files processed; None in snapshots of old versions.
        bytes: Bytes processed; None in snapshots of old versions.
    """

    id: str
    time: datetime
    tree: str
    tags: tuple[str, ...]
    paths: tuple[str, ...] = field(repr=False)
    hostname: str
    parent: str | None
    original: str | None
    files: int | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of a snapshot. PHI.

    Attributes:
        path: Absolute path in the snapshot (bytes that are not UTF-8 are lost).
        type: ``file``, ``dir``, ``symlink`` …
        size_bytes: Length of a file; 0 for anything else.
        mtime: Modification time, aware UTC.
    """

    path: str = field(repr=False)
    type: str
    size_bytes: int
    mtime: datetime


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        errors: How many errors; 0 is clean.
        broken_packs: Ids of packs whose content is wrong.
        suggest_repair_index: `repair_index` would help.
        suggest_prune: `prune` would help.
    """

    errors: int
    broken_packs: tuple[str, ...]
    suggest_repair_index: bool
    suggest_prune: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """What one snapshot lacks against another. PHI (bytes that are not UTF-8 are lost).

    Attributes:
        removed: Paths of files, links and the like that only the first has.
        folders: Paths of folders that only the first has.
        others: Everything else that differs: added, of other content, type, time or mode.
    """

    removed: tuple[str, ...] = field(repr=False)
    folders: tuple[str, ...] = field(repr=False)
    others: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What the index of a repository names.

    Attributes:
        blobs: Blobs the index names, each time it names one.
        used: Blobs that the snapshots need, each once.
        found: Which of those that were looked for it names.
    """

    blobs: int
    used: int
    found: frozenset[str]


@dataclass(frozen=True, slots=True)
class ForgetDecision:
    """What a policy says of one snapshot.

    Attributes:
        snapshot_id: Full id.
        keep: Kept, or to be removed.
        reasons: Why it is kept, in restic's words; empty if it is not.
    """

    snapshot_id: str
    keep: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock in a repository.

    Attributes:
        id: Full id.
        time: When it was last refreshed, aware UTC.
        exclusive: It keeps everybody else out.
        hostname: Host that took it.
        pid: Process that took it.
    """

    id: str
    time: datetime
    exclusive: bool
    hostname: str
    pid: int


@dataclass(frozen=True, slots=True)
class Key:
    """A key file of a repository.

    Attributes:
        id: Full id.
        current: The one that opened the repository now.
        hostname: Host on which it was made.
        created: When, aware UTC.
    """

    id: str
    current: bool
    hostname: str
    created: datetime
