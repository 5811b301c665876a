"""Reading a manifest for a drill: checked whole, cut down to the scope, spooled in a short form.

It is read once, as a stream; memory stays bounded whatever the store's size. Chooses no copy and no
snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from orchestrator.actions.drills.expected import (
    Expectation,
    Expected,
    choice_of,
    identity_of,
    packed,
    series_of,
    target_print,
)
from orchestrator.actions.manifests import lines_of
from orchestrator.dicom.dates import study_reference_date
from orchestrator.drills.scope import Scope
from orchestrator.drills.table import DigestTable
from orchestrator.manifest import (
    ManifestEntry,
    ManifestHeader,
    ManifestTotals,
    decode_entry,
    decode_header,
    decode_totals,
    tree_key,
)

_CHECK_STOP_EVERY = 1024


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries of a manifest are expected.

    Attributes:
        store: The store it must be of.
        repository_id: The repository it must be of.
        run: The run it must be of.
        scope: What is restored.
        suppressed: Pseudonyms of the studies that must not come back.
        study_key: Gives a study's pseudonym from its UID.
        path_key: Gives the pseudonym of a path, for files of no study.
        seed: Chooses which file of a series is decoded.
        until: The date of the snapshot: an image that says it is newer is not counted as such.
    """

    store: str
    repository_id: str
    run: str
    scope: Scope
    suppressed: frozenset[str]
    study_key: Callable[[str], str]
    path_key: Callable[[bytes], str]
    seed: int
    until: date


def read_manifest(
    chunks: Iterable[bytes],
    wanted: Selection,
    spool: Path,
    *,
    expected: int,
    check_stop: Callable[[], None],
) -> Expectation:
    """Read a manifest to its end and note what is expected.

    Args:
        chunks: Its bytes.
        wanted: What to take from it.
        spool: File to write to, in the sandbox; it names patients' files.
        expected: About how many files it names.
        check_stop: Called now and then; raises to end the work.

    Returns:
        What is expected, with the manifest's own problems: it is never half believed.
    """
    found = Expectation(spool, chosen=DigestTable(expected))
    reader = _Reader(wanted, found)
    with spool.open("wb") as out:
        try:
            for number, line in enumerate(lines_of(chunks)):
                if number % _CHECK_STOP_EVERY == 0:
                    check_stop()
                out.write(reader.take(line, is_first=number == 0))
        except (ValueError, KeyError, TypeError, AttributeError):
            found.problems.append("it holds a line that is none of a manifest")
    reader.close()
    return found


class _Reader:
    def __init__(self, wanted: Selection, found: Expectation) -> None:
        self._wanted = wanted
        self._found = found
        self._counted = ManifestTotals()
        self._footer: ManifestTotals | None = None
        self._last = b""
        self._number = 0
        self._study_key = lru_cache(maxsize=4096)(wanted.study_key)

    def take(self, line: bytes, *, is_first: bool) -> bytes:
        """Take one line; return what to spool of it."""
        if is_first:
            self._check_header(decode_header(line))
            return b""
        if self._footer is not None:
            raise ValueError("something follows the footer")
        self._footer = decode_totals(line)
        if self._footer is not None:
            return b""
        entry = decode_entry(line)
        self._counted.add(entry)
        key = tree_key(entry.path)
        if key <= self._last:
            raise ValueError("entries are not in order")
        self._last = key
        return self._record(entry)

    def close(self) -> None:
        found = self._found
        found.whole = self._counted
        if self._footer is None:
            found.problems.append("it has no footer: it is not whole")
        elif self._footer != self._counted:
            found.problems.append("its footer counts other entries than it has")

    def _check_header(self, header: ManifestHeader) -> None:
        wanted, problems = self._wanted, self._found.problems
        for what, is_, must in (
            ("store", header.store, wanted.store),
            ("repository", header.repository, wanted.repository_id),
            ("run", header.run, wanted.run),
        ):
            if is_ != must:
                problems.append(f"it is of another {what}")

    def _record(self, entry: ManifestEntry) -> bytes:
        study = self._study(entry)
        if study is not None and study in self._wanted.suppressed:
            self._found.left_out.append(entry.path)
            return b""
        self._note_date(entry)
        member = study if study is not None else self._wanted.path_key(entry.path)
        scope = self._wanted.scope
        if not scope.is_all and not scope.covers(member, is_study=study is not None):
            return b""
        expected = _expected(entry, study)
        self._count(expected)
        return packed(expected)

    def _study(self, entry: ManifestEntry) -> str | None:
        dicom = entry.dicom or {}
        uid = dicom.get("study_instance_uid")
        return self._study_key(uid) if uid else None

    def _note_date(self, entry: ManifestEntry) -> None:
        """Count an image's date by the rule that the catalog uses for the store's."""
        dated = study_reference_date(entry.dicom) if entry.dicom else None
        newest = self._found.newest_image
        if dated is not None and dated[0] <= self._wanted.until:
            self._found.newest_image = dated[0] if newest is None else max(newest, dated[0])

    def _count(self, expected: Expected) -> None:
        found, number = self._found, self._number
        self._number += 1
        if expected.state != "good":
            found.not_good[expected.state] += 1
        elif expected.kind == "symlink":
            found.links += 1
        elif expected.kind == "file":
            found.files += 1
            found.size_bytes += expected.size_bytes
            found.dicom_files += expected.is_dicom
            if expected.series:
                self._choose(expected, number)

    def _choose(self, expected: Expected, number: int) -> None:
        table = self._found.chosen
        mine = choice_of(expected, number)
        best = table.get(expected.series)
        if best is None:
            self._found.series += 1
        seed = self._wanted.seed.to_bytes(8, "little")
        if best is None or _mixed(mine, seed) < _mixed(best, seed):
            table.put(expected.series, mine)


def _mixed(choice: bytes, seed: bytes) -> int:
    return int.from_bytes(choice[:8], "little") ^ int.from_bytes(seed, "little")


def _expected(entry: ManifestEntry, study: str | None) -> Expected:
    is_link = entry.kind == "symlink"
    return Expected(
        path=entry.path,
        kind=entry.kind,
        state=entry.state,
        is_dicom=entry.dicom is not None,
        size_bytes=entry.stat.size_bytes if entry.stat is not None else 0,
        mtime_ns=entry.stat.mtime_ns if entry.stat is not None else 0,
        content=target_print(entry.target) if is_link else bytes.fromhex(entry.sha256 or ""),
        identity=identity_of(entry.dicom),
        series=series_of(entry.dicom),
        study=study,
    )
