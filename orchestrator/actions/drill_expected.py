"""What a drill must find: the manifest of backup time, checked and cut down to the scope.

The manifest is read once, as a stream, and written to the sandbox in a short form in tree order;
memory stays bounded whatever the store's size. Chooses no copy and no snapshot.
"""

from __future__ import annotations

import base64
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path

from orchestrator.actions.manifests import lines_of
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

IDENTITY = (
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "patient_id",
    "issuer_of_patient_id",
)
"""The header fields that say whose image it is, and which."""

_DAY = re.compile(r"[0-9]{8}")
_KINDS = ("file", "symlink", "other")
_STATES = ("good", "changed", "unreadable", "vanished")
_RECORD = struct.Struct("<IBBBQq32s8s8s10s")
_NO_STUDY = bytes(10)
_NO_DIGEST = bytes(8)
_CHECK_STOP_EVERY = 1024


@dataclass(frozen=True, slots=True)
class Expected:
    """One entry in the scope.

    Attributes:
        path: As in the manifest.
        kind: As in the manifest.
        state: As in the manifest.
        is_dicom: Whether the header could be read at backup time.
        size_bytes: Length of a file.
        mtime_ns: Its modification time.
        content: SHA-256 of the content, or of a symlink's target.
        identity: Digest of the header's identity.
        series: Stands for the series; empty for none.
        study: Pseudonym of the study; None for none.
    """

    path: bytes
    kind: str
    state: str
    is_dicom: bool
    size_bytes: int
    mtime_ns: int
    content: bytes
    identity: bytes
    series: bytes
    study: str | None

    @property
    def fingerprint(self) -> bytes:
        """What `fingerprint_of` gives for the right file."""
        return fingerprint_of(self.content, self.identity)


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
        today: The date of the snapshot, as DICOM writes it: no image is newer.
    """

    store: str
    repository_id: str
    run: str
    scope: Scope
    suppressed: frozenset[str]
    study_key: Callable[[str], str]
    path_key: Callable[[bytes], str]
    seed: int
    today: str


@dataclass(slots=True)
class Expectation:
    """What the manifest says of the scope.

    Attributes:
        spool: File in the sandbox with the expected entries.
        problems: What is wrong with the manifest itself; empty for a sound one.
        whole: Counts of the whole snapshot.
        files: Good files in the scope.
        size_bytes: Their total length.
        links: Symlinks in the scope.
        dicom_files: Good files in the scope whose header was read at backup time.
        newest_image: The newest study date in the whole snapshot, as DICOM writes it.
        not_good: Entries in the scope by each state but `good`.
        left_out: Paths of suppressed studies.
        series: Series in the scope.
        chosen: For each series, which expected entry is decoded.
    """

    spool: Path
    problems: list[str] = field(default_factory=list)
    whole: ManifestTotals = field(default_factory=ManifestTotals)
    files: int = 0
    size_bytes: int = 0
    links: int = 0
    dicom_files: int = 0
    newest_image: str = ""
    not_good: Counter[str] = field(default_factory=Counter)
    left_out: list[bytes] = field(default_factory=list)
    series: int = 0
    chosen: DigestTable = field(default_factory=lambda: DigestTable(0))

    def entries(self) -> Iterator[Expected]:
        """Yield what is expected, in tree order."""
        with self.spool.open("rb") as stream:
            while head := stream.read(_RECORD.size):
                length, kind, state, is_dicom, size, mtime, *digests = _RECORD.unpack(head)
                content, identity, series, study = digests
                yield Expected(
                    stream.read(length),
                    _KINDS[kind],
                    _STATES[state],
                    bool(is_dicom),
                    size,
                    mtime,
                    content,
                    identity,
                    b"" if series == _NO_DIGEST else series,
                    None if study == _NO_STUDY else base64.b32encode(study).decode().lower(),
                )

    def paths(self) -> list[bytes]:
        """Return the paths to restore; what was never stored is left out."""
        stored = ("good", "changed")
        return [entry.path for entry in self.entries() if entry.state in stored]

    def to_decode(self) -> Iterator[Expected]:
        """Yield one file of each series."""
        for number, entry in enumerate(self.entries()):
            if entry.series and self.chosen.get(entry.series) == _choice(entry, number):
                yield entry

    def studies(self) -> Iterator[str]:
        """Yield the pseudonym of each study in the scope once."""
        told = DigestTable(self.files)
        for entry in self.entries():
            if entry.study is not None:
                key = blake2b(entry.study.encode(), digest_size=8).digest()
                if told.put(key, bytes(16)):
                    yield entry.study
        told.close()


def fingerprint_of(content: bytes, identity: bytes) -> bytes:
    """Return 16 bytes that tell content and identity of one file from those of any other.

    Args:
        content: SHA-256 of the content.
        identity: As `identity_of` gives it.
    """
    return blake2b(content + identity, digest_size=16).digest()


def identity_of(dicom: dict[str, str] | None) -> bytes:
    """Return 8 bytes that stand for what a header says of study, series, instance and patient."""
    if dicom is None:
        return _NO_DIGEST
    parts = "\0".join([dicom.get(name, "") for name in IDENTITY])
    return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def target_print(target: bytes | None) -> bytes:
    """Return what stands for a symlink's target."""
    return sha256(target or b"").digest()


def series_of(dicom: dict[str, str] | None) -> bytes:
    """Return what stands for a file's study and series; empty if it names none."""
    if dicom is None or not dicom.get("series_instance_uid"):
        return b""
    both = f"{dicom.get('study_instance_uid', '')}\0{dicom['series_instance_uid']}"
    return blake2b(both.encode("utf-8", "surrogatepass"), digest_size=8).digest()


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
        member = study if study is not None else self._wanted.path_key(entry.path)
        scope = self._wanted.scope
        if not scope.is_all and not scope.covers(member, is_study=study is not None):
            return b""
        expected = _expected(entry, study)
        self._count(expected)
        return _packed(expected)

    def _study(self, entry: ManifestEntry) -> str | None:
        dicom = entry.dicom or {}
        day = dicom.get("study_date", "")
        if day > self._found.newest_image and _DAY.fullmatch(day) and day <= self._wanted.today:
            self._found.newest_image = day
        uid = dicom.get("study_instance_uid")
        return self._study_key(uid) if uid else None

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
        mine = _choice(expected, number)
        best = table.get(expected.series)
        if best is None:
            self._found.series += 1
        seed = self._wanted.seed.to_bytes(8, "little")
        if best is None or _mixed(mine, seed) < _mixed(best, seed):
            table.put(expected.series, mine)


def _choice(expected: Expected, number: int) -> bytes:
    return expected.content[:8] + number.to_bytes(8, "little")


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


def _packed(expected: Expected) -> bytes:
    head = _RECORD.pack(
        len(expected.path),
        _KINDS.index(expected.kind),
        _STATES.index(expected.state),
        expected.is_dicom,
        expected.size_bytes,
        expected.mtime_ns,
        expected.content,
        expected.identity,
        expected.series or _NO_DIGEST,
        base64.b32decode(expected.study.upper()) if expected.study is not None else _NO_STUDY,
    )
    return head + expected.path
