"""A manifest corrected after the fact: what moved while the engine was reading by itself.

Both sides come in manifest order, as in `survey`, and memory stays constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from orchestrator.actions.survey import LineSink, entry_of, is_unchanged, merge
from orchestrator.manifest import (
    ManifestEntry,
    ManifestTotals,
    decode_entry,
    encode_entry,
    tree_key,
)
from orchestrator.stores.interface import Listed


def amendments(
    listed: Iterable[Listed], manifest_lines: Iterable[bytes], run: str
) -> Iterator[ManifestEntry]:
    """Find what moved between the reading and the end of the engine's own reading.

    Args:
        listed: The store after the engine ended.
        manifest_lines: Entry lines of this run's manifest.
        run: Id of this run.

    Yields:
        The entries that must replace, or join, those of the manifest.
    """
    for item, line, entry in merge(listed, manifest_lines):
        if line is not None and entry is None:
            continue  # unchanged
        amended = _amendment(item, entry, run)
        if amended is not None:
            yield amended


def _amendment(item: Listed | None, entry: ManifestEntry | None, run: str) -> ManifestEntry | None:
    if entry is None:
        if item is None or (item.kind != "file" and item.problem is not None):
            return None
        fresh = entry_of(item, run)
        if item.kind != "file":
            return fresh
        return replace(fresh, state="changed", note="arrived during the backup")
    if entry.state != "good" or entry.kind != "file":
        return None
    if item is None:
        return replace(entry, state="changed", note="disappeared during the backup")
    if not is_unchanged(item, entry):
        return replace(entry, state="changed", note="changed during the backup")
    return None


def amend(
    manifest_lines: Iterable[bytes],
    amended: Iterable[ManifestEntry],
    *,
    out: LineSink,
    delta: LineSink,
) -> ManifestTotals:
    """Write a manifest's entries anew with amendments applied; both in manifest order."""
    totals = ManifestTotals()
    fixes = iter(amended)
    fix = next(fixes, None)

    def put(entry: ManifestEntry, line: bytes) -> None:
        totals.add(entry)
        out.write(line)

    for line in manifest_lines:
        entry = decode_entry(line)
        while fix is not None and tree_key(fix.path) <= tree_key(entry.path):
            fixed = encode_entry(fix)
            put(fix, fixed)
            delta.write(fixed)
            replaced = fix.path == entry.path
            fix = next(fixes, None)
            if replaced:
                break
        else:
            put(entry, line)
    while fix is not None:
        fixed = encode_entry(fix)
        put(fix, fixed)
        delta.write(fixed)
        fix = next(fixes, None)
    return totals
