"""Comparing what a drill restored with what it must be, when the restore has ended.

Both sides come in tree order and are merged; a file counts as read if its fingerprint was taken
while it was restored and nothing has touched it since. Everything else is read again here. Says
what was found; what it means is said elsewhere.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.actions.drills.expected import (
    Expectation,
    Expected,
    identity_of,
    series_of,
    target_print,
)
from orchestrator.actions.drills.reading import path_key
from orchestrator.drills.table import DigestTable
from orchestrator.manifest import tree_key
from orchestrator.stores.folder import FolderStore
from orchestrator.stores.interface import Listed, ReadResult

_SAY_EVERY = 1000


@dataclass(slots=True)
class Findings:
    """How the restored files compare with the manifest.

    Attributes:
        files: Files whose content and identity are as they must be.
        size_bytes: Their total length.
        links: Symlinks that point where they must.
        missing: Entries that are not there.
        extra: Files and links beyond those of the manifest.
        wrong_content: Files of another size or SHA-256.
        wrong_links: Symlinks that point elsewhere.
        unread: Files that the sandbox's disk did not give back.
        unparsed: Files that were DICOM at backup time and cannot be parsed now.
        wrong_identity: Files that say another study, series, instance or patient.
        risen: Files of disposed studies that came back.
        series: How many files more (or less) than expected each series has, where not equal.
        failed_studies: Pseudonyms of studies with a file that is not as it must be.
    """

    files: int = 0
    size_bytes: int = 0
    links: int = 0
    missing: int = 0
    extra: int = 0
    wrong_content: int = 0
    wrong_links: int = 0
    unread: int = 0
    unparsed: int = 0
    wrong_identity: int = 0
    risen: int = 0
    series: Counter[bytes] = field(default_factory=Counter)
    failed_studies: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and what is known of it.

    Attributes:
        folder: Where.
        seen: Fingerprints by path, taken while it was restored.
        until_ns: When restic ended, by the clock of the sandbox's file system; 0 if unknown, and
            nothing that was read before is believed.
        suppressed: Pseudonyms of the studies that must not come back.
        study_key: Gives a study's pseudonym from its UID.
    """

    folder: Path
    seen: DigestTable
    until_ns: int
    suppressed: frozenset[str]
    study_key: Callable[[str], str]


def compare(
    expectation: Expectation,
    restored: Restored,
    *,
    check_stop: Callable[[], None],
    on_done: Callable[[int], None],
) -> Findings:
    """Compare everything; memory stays bounded.

    Args:
        expectation: What must be there.
        restored: What is there.
        check_stop: Called now and then; raises to end the work.
        on_done: Called now and then with the number of files compared.
    """
    work = _Comparison(restored)
    store = FolderStore("restored", restored.folder)
    pairs = _merged(expectation.entries(), store.walk())
    for number, read in enumerate(store.read(work.doubtful(pairs, check_stop, on_done))):
        if number % _SAY_EVERY == 0:
            check_stop()
        work.settle(read)
    return work.found


class _Comparison:
    def __init__(self, restored: Restored) -> None:
        self.found = Findings()
        self._restored = restored
        self._pending: dict[bytes, Expected | None] = {}

    def doubtful(
        self,
        pairs: Iterator[tuple[Expected | None, Listed | None]],
        check_stop: Callable[[], None],
        on_done: Callable[[int], None],
    ) -> Iterator[Listed]:
        """Compare what can be compared at once; yield what must be read again."""
        for number, (expected, listed) in enumerate(pairs, 1):
            if number % _SAY_EVERY == 0:
                check_stop()
                on_done(number)
            if listed is None:
                if expected is not None:
                    self._miss(expected)
            elif expected is None:
                self.found.extra += 1
                if listed.kind == "file":
                    yield self._again(None, listed)
            elif expected.state != "good" or expected.kind == "other":
                continue
            elif not self._is_settled(expected, listed):
                yield self._again(expected, listed)

    def settle(self, read: ReadResult) -> None:
        """Judge a file that was read again."""
        found, expected = self.found, self._pending.pop(read.listed.path)
        uid = (read.dicom or {}).get("study_instance_uid")
        if uid and self._restored.study_key(uid) in self._restored.suppressed:
            found.risen += 1
        if expected is None:
            self._count_series(b"", series_of(read.dicom))
        elif self._is_right(expected, read):
            self._good(expected)
        else:
            self._fail(expected, series_of(read.dicom))

    def _is_right(self, expected: Expected, read: ReadResult) -> bool:
        found = self.found
        if read.sha256 is None or read.stat is None:
            found.unread += 1
            return False
        same = bytes.fromhex(read.sha256) == expected.content
        same &= read.stat.size_bytes == expected.size_bytes
        found.wrong_content += not same
        if expected.is_dicom and read.dicom is None:
            found.unparsed += 1
            return False
        if identity_of(read.dicom) != expected.identity:
            found.wrong_identity += 1
            return False
        return same

    def _again(self, expected: Expected | None, listed: Listed) -> Listed:
        self._pending[listed.path] = expected
        return Listed(listed.path, "file", listed.stat)

    def _is_settled(self, expected: Expected, listed: Listed) -> bool:
        """Settle an entry that is there without reading it, if that can be done."""
        if expected.kind == "symlink" or listed.kind != "file":
            self._settle_link(expected, listed)
            return True
        facts = listed.stat
        print_ = self._restored.seen.get(path_key(expected.path))
        if facts is None or print_ != expected.fingerprint:
            return False
        # Less, not equal: that clock stands still for some milliseconds at a time.
        untouched = facts.mtime_ns == expected.mtime_ns and facts.ctime_ns < self._restored.until_ns
        if facts.size_bytes != expected.size_bytes or not untouched:
            return False
        self._good(expected)
        return True

    def _settle_link(self, expected: Expected, listed: Listed) -> None:
        is_link = expected.kind == "symlink"
        if not is_link:
            self.found.wrong_content += 1
        elif listed.kind == "symlink" and target_print(listed.target) == expected.content:
            self.found.links += 1
            return
        else:
            self.found.wrong_links += 1
        self._fail(expected)

    def _good(self, expected: Expected) -> None:
        self.found.files += 1
        self.found.size_bytes += expected.size_bytes

    def _miss(self, expected: Expected) -> None:
        if expected.state == "good" and expected.kind != "other":
            self.found.missing += 1
            self._fail(expected)

    def _fail(self, expected: Expected, series: bytes = b"") -> None:
        if expected.study is not None:
            self.found.failed_studies.add(expected.study)
        self._count_series(expected.series, series)

    def _count_series(self, before: bytes, now: bytes) -> None:
        """Count where a series has lost or gained a file; what is as expected cancels out."""
        if before:
            self.found.series[before] -= 1
        if now:
            self.found.series[now] += 1


def _merged(
    expected: Iterator[Expected], listed: Iterator[Listed]
) -> Iterator[tuple[Expected | None, Listed | None]]:
    """Merge two streams in tree order by their paths."""
    left, right = next(expected, None), next(listed, None)
    while left is not None or right is not None:
        if right is None or (left is not None and tree_key(left.path) < tree_key(right.path)):
            yield left, None
            left = next(expected, None)
        elif left is None or tree_key(right.path) < tree_key(left.path):
            yield None, right
            right = next(listed, None)
        else:
            yield left, right
            left, right = next(expected, None), next(listed, None)


def ended_ns(folder: Path) -> int:
    """Return the present by the clock of a folder's file system, in nanoseconds."""
    mark = folder / ".ended"
    mark.touch()
    try:
        return os.stat(mark).st_ctime_ns
    finally:
        mark.unlink()
