"""What a drill must find: the entries of the manifest that are in its scope, in a short form.

They lie in a file in the sandbox, in tree order, and are never all in memory.
"""

from __future__ import annotations

import base64
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b, sha256
from pathlib import Path

from orchestrator.drills.table import DigestTable
from orchestrator.manifest import (
    ManifestTotals,
)

IDENTITY = (
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "patient_id",
    "issuer_of_patient_id",
)
"""The header fields that say whose image it is, and which."""

_KINDS = ("file", "symlink", "other")
_STATES = ("good", "changed", "unreadable", "vanished")
_RECORD = struct.Struct("<IBBBQq32s8s8s10s")
_NO_STUDY = bytes(10)
_NO_DIGEST = bytes(8)


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
        newest_image: The newest date of an image in the whole snapshot, disposed studies left
            out; None if none has one.
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
    newest_image: date | None = None
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
            if entry.series and self.chosen.get(entry.series) == choice_of(entry, number):
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


def choice_of(expected: Expected, number: int) -> bytes:
    """Return what stands for an entry as the one of its series that is decoded."""
    return expected.content[:8] + number.to_bytes(8, "little")


def packed(expected: Expected) -> bytes:
    """Return an entry in the form that `Expectation.entries` reads."""
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
