"""Finding what a manifest names of some studies, and the same manifest without it.

One pass over the lines; nearly all of them are looked at as bytes and never decoded. Paths stay in
memory and in sealed files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestrator.actions.manifests import PIECE_BYTES
from orchestrator.errors import DamageError
from orchestrator.manifest import (
    ManifestEntry,
    ManifestTotals,
    decode_entry,
    decode_totals,
    encode_totals,
    good_file_size,
)

_STUDY = b'"study_instance_uid":"'
_PATH = b'{"path":"'
_FIELD = "study_instance_uid"


class Named(NamedTuple):
    """An entry of one of the studies."""

    study: str
    sha256: str | None
    size_bytes: int
    links: int
    state: str


@dataclass(slots=True)
class Found:
    """What one manifest names of the studies.

    Attributes:
        entries: By path.
        roots: By path of an entry, the shortest path above it, or its own, that covers by this
            manifest nothing but entries of the studies.
        doubtful: Paths of entries that are not good and show no study: what is stored there is
            not known.
        removed: Counts of `entries`.
        totals: Counts of what stays.
    """

    entries: dict[bytes, Named] = field(default_factory=dict, repr=False)
    roots: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    doubtful: set[bytes] = field(default_factory=set, repr=False)
    removed: ManifestTotals = field(default_factory=ManifestTotals)
    totals: ManifestTotals = field(default_factory=ManifestTotals)


class Sieve:
    """Tells the lines of some studies from all others; safe to use from several threads.

    Args:
        studies: Pseudonyms.
        pseudonym: Gives the pseudonym of a Study Instance UID.
        paths: Paths that are known to have held the studies at some time.
    """

    def __init__(
        self,
        studies: Collection[str],
        pseudonym: Callable[[str], str],
        paths: Iterable[tuple[bytes, str]] = (),
    ) -> None:
        self._studies = frozenset(studies)
        self._pseudonym = pseudonym
        self._known: dict[bytes, str | None] = {}
        self.paths = dict(paths)

    def sift(self, lines: Iterable[bytes], found: Found) -> Iterator[bytes]:
        """Yield a whole manifest without the studies, in pieces, and note what was left out.

        Args:
            lines: The manifest, header and footer included.
            found: Is filled in; whole once all is yielded.

        Raises:
            DamageError: The footer is missing: the manifest is not whole.
        """
        source = iter(lines)
        piece = [next(source, b"")]
        size = len(piece[0])
        held: bytes | None = None
        before: bytes | None = None
        run: list[bytes] = []
        for line in source:
            if held is None:
                held = line
                continue
            entry, held = held, line
            path = self._take(entry, found)
            if path is not None:
                run.append(path)
                continue
            if run:
                found.roots.update(_roots(run, before, entry))
                run = []
            before = entry
            piece.append(entry)
            size += len(entry)
            if size >= PIECE_BYTES:
                yield b"".join(piece)
                piece, size = [], 0
        if run:
            found.roots.update(_roots(run, before, None))
        totals = None if held is None else decode_totals(held)
        if totals is None:
            raise DamageError("a manifest has no footer: it is not whole")
        found.totals = less(totals, found.removed)
        yield b"".join([*piece, encode_totals(found.totals)])

    def scan(self, lines: Iterable[bytes]) -> Found:
        """Return what a manifest names of the studies."""
        found = Found()
        for _ in self.sift(lines, found):
            pass
        return found

    def _take(self, line: bytes, found: Found) -> bytes | None:
        """Return the path of a line that is left out, having noted it; None for all others."""
        _, is_image, rest = line.partition(_STUDY)
        if is_image:
            study = self._study_of(rest, line)
            return None if study is None else self._note(decode_entry(line), study, found)
        if good_file_size(line) is not None:
            return None
        entry = decode_entry(line)
        if entry.state == "good":
            return None
        # It was one of the study's in another snapshot and could not be read in this one.
        study = self.paths.get(entry.path)
        if study is not None:
            return self._note(entry, study, found)
        found.doubtful.add(entry.path)
        return None

    def _study_of(self, rest: bytes, line: bytes) -> str | None:
        """Return the pseudonym of a line's study if it is one of ours."""
        uid = rest[: rest.index(b'"')]
        if b"\\" in uid:
            return self._ours((decode_entry(line).dicom or {}).get(_FIELD, ""))
        try:
            return self._known[uid]
        except KeyError:
            return self._known.setdefault(uid, self._ours(uid.decode("utf-8", "surrogatepass")))

    def _ours(self, uid: str) -> str | None:
        study = self._pseudonym(uid) if uid else ""
        return study if study in self._studies else None

    def _note(self, entry: ManifestEntry, study: str, found: Found) -> bytes:
        size = entry.stat.size_bytes if entry.stat is not None else 0
        found.entries[entry.path] = Named(study, entry.sha256, size, entry.links, entry.state)
        found.removed.add(entry)
        self.paths.setdefault(entry.path, study)
        return entry.path


def less(totals: ManifestTotals, removed: ManifestTotals) -> ManifestTotals:
    """Return counts without some of the entries counted."""
    states = {state: count - removed.states.get(state, 0) for state, count in totals.states.items()}
    return ManifestTotals(
        totals.entries - removed.entries,
        totals.files - removed.files,
        totals.bytes - removed.bytes,
        {state: count for state, count in states.items() if count},
    )


def paths_of(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the paths of entry lines, most of them without decoding."""
    for line in lines:
        path, _, _ = line.removeprefix(_PATH).partition(b'"')
        plain = line.startswith(_PATH) and b"\\" not in path
        yield path if plain else decode_entry(line).path


def common_roots(found: Iterable[Found]) -> set[bytes]:
    """Return the fewest paths that cover the entries of several manifests, and nothing else.

    A folder counts only where no manifest that has the entry shows anything else below it.
    """
    chosen: dict[bytes, bytes] = {}
    for one in found:
        for path, root in one.roots.items():
            if len(root) > len(chosen.get(path, b"")):
                chosen[path] = root
    return set(chosen.values())


def _roots(run: list[bytes], before: bytes | None, after: bytes | None) -> dict[bytes, bytes]:
    """Return the shortest paths that cover neighbours which go, and neither of what stays beside.

    In manifest order all of a folder's entries are neighbours: one that holds nothing else than
    what goes lies wholly between the two entries that stay.
    """
    beside = [_folders(decode_entry(line).path) for line in (before, after) if line is not None]
    found = {}
    for path in run:
        parts = path.split(b"/")
        shared = max((_shared(parts[:-1], folders) for folders in beside), default=0)
        found[path] = b"/".join(parts[: shared + 1])
    return found


def _folders(path: bytes) -> list[bytes]:
    return path.split(b"/")[:-1]


def _shared(one: list[bytes], other: list[bytes]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
