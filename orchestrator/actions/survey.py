"""Comparing a store as it is with the manifest of the last run, in constant memory.

Both sides come in manifest order, so a merge suffices: a million files need no more memory than
a hundred. Paths stay inside sealed files and never reach a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from orchestrator.manifest import (
    EntryState,
    FileStat,
    ManifestEntry,
    ManifestTotals,
    decode_entry,
    encode_entry,
    good_file_size,
    good_file_start,
    tree_key,
)
from orchestrator.stores.interface import Listed, ReadResult

UNCHANGED, KNOWN, NEW, CHANGED = b"=", b"!", b"+", b"~"
"""Marks of a plan line: taken over as it is; complete without reading; to be read (two kinds)."""


class LineSink(Protocol):
    """Takes lines."""

    def write(self, data: bytes, /) -> object:
        """Append bytes."""
        ...


@dataclass(slots=True)
class Survey:
    """What the comparison found.

    Attributes:
        files: Regular files in the store now.
        size_bytes: Their total length.
        new: Files that were not there before.
        changed: Files whose facts differ, or that were not good last time.
        gone: Entries of the last manifest that are no longer there.
        gone_bytes: Their total length.
        before: Regular files in the last manifest.
        before_bytes: Their total length.
        to_read_bytes: Bytes that must be read for the new and changed files.
    """

    files: int = 0
    size_bytes: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    gone_bytes: int = 0
    before: int = 0
    before_bytes: int = 0
    to_read_bytes: int = 0


def merge(
    listed: Iterable[Listed], previous: Iterable[bytes]
) -> Iterator[tuple[Listed | None, bytes | None, ManifestEntry | None]]:
    """Pair what is listed with the lines of a manifest, both in manifest order.

    Args:
        listed: The store as it is now.
        previous: Entry lines of a manifest, without header and footer.

    Yields:
        ``(listed, line, entry)`` of one path; None where a side does not have it. A good file
        that is unchanged comes with its line and without its entry.
    """
    lines = iter(previous)
    line = next(lines, None)
    entry: ManifestEntry | None = None
    for item in listed:
        # Nearly every file of nearly every night ends here.
        if line is not None and entry is None and _is_same(item, line):
            yield item, line, None
            line = next(lines, None)
            continue
        key = tree_key(item.path)
        while line is not None:
            entry = entry or decode_entry(line)
            if tree_key(entry.path) >= key:
                break
            yield None, line, entry
            line, entry = next(lines, None), None
        if line is not None and entry is not None and entry.path == item.path:
            yield item, line, entry
            line, entry = next(lines, None), None
        else:
            yield item, None, None
    while line is not None:
        yield None, line, entry or decode_entry(line)
        line, entry = next(lines, None), None


def _is_same(item: Listed, line: bytes) -> bool:
    """Say whether a line is that of a good file with the facts that are listed now."""
    return (
        item.kind == "file"
        and item.stat is not None
        and line.startswith(good_file_start(item.path, item.stat))
    )


def plan(
    listed: Iterable[Listed], previous: Iterable[bytes], *, run: str, out: LineSink, gone: LineSink
) -> Survey:
    """Write what a run has to do for each entry.

    Args:
        listed: The store as it is now.
        previous: Entry lines of the last manifest; empty for a first run.
        run: Id of this run.
        out: Takes one plan line per entry that is there.
        gone: Takes the manifest line of each entry that is no longer there.
    """
    survey = Survey()
    for item, line, entry in merge(listed, previous):
        if entry is not None:
            _count_before(survey, entry)
        elif line is not None and item is not None and item.stat is not None:
            survey.before += 1
            survey.before_bytes += item.stat.size_bytes
        if item is None:
            if entry is None or line is None:
                continue
            survey.gone += 1
            survey.gone_bytes += _size(entry)
            gone.write(line)
            continue
        if item.kind == "file" and item.stat is not None:
            survey.files += 1
            survey.size_bytes += item.stat.size_bytes
        out.write(_plan_line(survey, item, line, entry, run))
    return survey


def _plan_line(
    survey: Survey, item: Listed, line: bytes | None, entry: ManifestEntry | None, run: str
) -> bytes:
    if line is not None and (entry is None or is_unchanged(item, entry)):
        return UNCHANGED + line
    fresh = entry_of(item, run)
    if item.kind != "file" or item.stat is None:
        if entry is not None and replace(fresh, since=entry.since) == entry:
            return UNCHANGED + line if line is not None else KNOWN + encode_entry(fresh)
        return KNOWN + encode_entry(fresh)
    survey.to_read_bytes += item.stat.size_bytes
    if entry is None:
        survey.new += 1
        return NEW + encode_entry(fresh)
    survey.changed += 1
    return CHANGED + encode_entry(fresh)


def wanted(plan_lines: Iterable[bytes]) -> Iterator[Listed]:
    """Give the files a plan wants read, in order."""
    for line in plan_lines:
        if line[:1] in (NEW, CHANGED):
            entry = decode_entry(line[1:])
            yield Listed(entry.path, "file", entry.stat, entry.links)


def entry_of_result(result: ReadResult, run: str) -> ManifestEntry:
    """Turn what reading a file gave into its manifest entry."""
    listed = result.listed
    if result.problem is None:
        return ManifestEntry(
            path=listed.path,
            kind="file",
            state="changed" if result.changed else "good",
            stat=result.stat,
            sha256=result.sha256,
            links=listed.links,
            dicom=result.dicom,
            note="changed while it was read" if result.changed else None,
            since=run,
        )
    return ManifestEntry(
        path=listed.path,
        kind="file",
        state="vanished" if result.stat is None else "unreadable",
        stat=result.stat,
        links=listed.links,
        note=result.problem,
        since=run,
    )


def finish(
    plan_lines: Iterable[bytes],
    read_lines: Iterable[bytes],
    *,
    out: LineSink,
    delta: LineSink,
    on_problem: Callable[[ManifestEntry], None],
) -> ManifestTotals:
    """Write the manifest's entries from a plan and what reading gave.

    Args:
        plan_lines: As `plan` wrote them.
        read_lines: One entry line for each file the plan wanted read, in order.
        out: Takes every entry line.
        delta: Takes the entry lines that are new or differ from the last manifest.
        on_problem: Told of every entry that is not good.
    """
    totals = ManifestTotals()
    read = iter(read_lines)
    for line in plan_lines:
        mark = line[:1]
        body = next(read) if mark in (NEW, CHANGED) else line[1:]
        size_bytes = good_file_size(body)
        if size_bytes is not None:
            totals.add_good_file(size_bytes)
        else:
            entry = decode_entry(body)
            totals.add(entry)
            if entry.state != "good":
                on_problem(entry)
        out.write(body)
        if mark != UNCHANGED:
            delta.write(body)
    return totals


def entry_of(item: Listed, run: str) -> ManifestEntry:
    """Return the entry of what is listed, as far as it is known without reading it."""
    state: EntryState = "good"
    if item.problem is not None:
        state = "vanished" if item.stat is None and item.problem == "vanished" else "unreadable"
    return ManifestEntry(
        path=item.path,
        kind=item.kind,
        state=state,
        stat=item.stat,
        target=item.target,
        links=item.links,
        note=item.problem,
        since=run,
    )


def is_unchanged(item: Listed, entry: ManifestEntry) -> bool:
    """Whether the facts prove the content is the one that was hashed.

    A coarse clock may hide a change made within the same tick as the reading; ctime in
    nanoseconds on the file systems in use makes that window negligible.
    """
    if entry.state != "good" or item.kind != "file" or entry.kind != "file":
        return False
    return _facts(item.stat) == _facts(entry.stat) and item.stat is not None


def _facts(stat: FileStat | None) -> tuple[int, int, int, int] | None:
    return None if stat is None else (stat.size_bytes, stat.mtime_ns, stat.ctime_ns, stat.inode)


def _count_before(survey: Survey, entry: ManifestEntry) -> None:
    if entry.kind == "file" and entry.state != "vanished":
        survey.before += 1
        survey.before_bytes += _size(entry)


def _size(entry: ManifestEntry) -> int:
    return entry.stat.size_bytes if entry.stat is not None else 0
