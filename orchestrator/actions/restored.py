"""Comparing a restored folder with the manifest of backup time, file by file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.actions.progress import Progress
from orchestrator.manifest import ManifestEntry
from orchestrator.stores.folder import FolderStore
from orchestrator.stores.interface import Listed

_BATCH = 2000


@dataclass(slots=True)
class Comparison:
    """How a restored folder compares with a manifest.

    Attributes:
        files: Files with the size and SHA-256 of the manifest.
        bytes: Their total length.
        wrong: Entries that are missing or differ.
        extra: Files in the folder beyond those the manifest names.
        not_good: Entries the backup itself had marked as changed, unreadable or vanished; they
            prove nothing either way.
    """

    files: int = 0
    bytes: int = 0
    wrong: int = 0
    extra: int = 0
    not_good: int = 0


def compare_with_manifest(
    entries: Iterable[ManifestEntry],
    folder: Path,
    *,
    progress: Progress,
    check_stop: Callable[[], None],
) -> Comparison:
    """Read every restored file once and compare; memory stays bounded.

    Args:
        entries: What must be there.
        folder: The restored folder.
        progress: Told how far it is.
        check_stop: Called now and then; raises to end the work.
    """
    found = Comparison()
    store = FolderStore("restored", folder)
    batch: list[ManifestEntry] = []
    seen = 0

    def settle() -> None:
        nonlocal seen
        _compare(store, batch, found)
        seen += len(batch)
        batch.clear()
        check_stop()
        progress.advance("files verified", seen, None)

    for entry in entries:
        if entry.state != "good":
            found.not_good += 1
            continue
        batch.append(entry)
        if len(batch) >= _BATCH:
            settle()
    settle()
    there = sum(1 for item in store.walk() if item.kind == "file")
    # What is wrong may be there or not; with nothing wrong the count is exact.
    found.extra = max(there - found.files - found.not_good - found.wrong, 0)
    return found


def _compare(folder: FolderStore, entries: list[ManifestEntry], found: Comparison) -> None:
    wanted = []
    for entry in entries:
        if entry.kind == "symlink":
            found.wrong += not _same_link(folder.root, entry)
        elif entry.kind == "file":
            stat = folder.examine(entry.path)
            if stat is None or entry.stat is None or stat.size_bytes != entry.stat.size_bytes:
                found.wrong += 1
            else:
                wanted.append(Listed(entry.path, "file", stat))
    hashes = {entry.path: entry.sha256 for entry in entries}
    for read in folder.read(wanted):
        if read.sha256 is None or read.sha256 != hashes[read.listed.path]:
            found.wrong += 1
        else:
            found.files += 1
            found.bytes += read.stat.size_bytes if read.stat is not None else 0


def _same_link(root: Path, entry: ManifestEntry) -> bool:
    try:
        return os.readlink(os.path.join(bytes(root), entry.path)) == entry.target
    except OSError:
        return False
