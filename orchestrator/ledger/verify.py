"""Verifies a whole log from its stored bytes: every entry, tile, checkpoint and signature.

Knows the files of a log and the keys it is handed; trusts nothing else, and no statement of the
log about itself. Memory is bounded: one run of bundles at a time.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.ledger import checkpoint as checkpoints
from orchestrator.ledger import strays, sums, tiles, tree
from orchestrator.ledger.checkpoint import Checkpoint
from orchestrator.ledger.derive import Wanted, derive_all, read
from orchestrator.ledger.files import Files, FolderFiles
from orchestrator.ledger.note import Verifier
from orchestrator.ledger.reader import CHECKPOINT, CHECKPOINTS, KEY
from orchestrator.ledger.tiles import WIDTH, Place

MOST_PROBLEMS = 100
"""After as many the verification stops: the log is what it is."""

_WORTH_PROCESSES = 512
"""Bundles from which on starting further processes pays."""


@dataclass(slots=True)
class Verification:
    """What a verification found.

    Attributes:
        origin: The log's name; None if no checkpoint could be verified.
        size: Entries that are signed for; None likewise.
        root: The signed root; None likewise.
        checkpoints: Kept checkpoints that were compared.
        problems: What is wrong, in sentences with positions; empty if the log is whole.
        remarks: What a reader should know and what is no fault, such as left-over files.
    """

    origin: str | None = None
    size: int | None = None
    root: bytes | None = None
    checkpoints: int = 0
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether everything was verified and nothing is wrong."""
        return self.size is not None and not self.problems


def verify(
    folder: Path,
    known: Sequence[Verifier],
    *,
    remembered: Sequence[bytes] = (),
    workers: int | None = None,
) -> Verification:
    """Verify a log's folder or an unpacked export of it.

    Args:
        folder: Where it is.
        known: Keys that are trusted: the log's own, and witnesses'.
        remembered: Checkpoints that somebody saw earlier: the log must contain them.
        workers: Processes to use; chosen by the log's size if not given, 0 for none but this.
    """
    return verify_files(FolderFiles(folder), known, remembered=remembered, workers=workers)


def verify_files(
    files: Files,
    known: Sequence[Verifier],
    *,
    remembered: Sequence[bytes] = (),
    workers: int | None = 0,
    most: int = MOST_PROBLEMS,
) -> Verification:
    """Verify the files of a log; as `verify`.

    Args:
        files: The log's files.
        known: Keys that are trusted.
        remembered: Checkpoints that somebody saw earlier.
        workers: Processes to use besides this one; None to choose by size.
        most: Stop after as many problems.
    """
    examination = _Examination(files, known, most)
    try:
        examination.run(remembered, workers)
    except _EnoughError:
        examination.found.problems.append("there may be more: the verification stopped here")
    except OSError as error:
        examination.found.problems.append(
            f"the log cannot be read: {error.strerror or type(error).__name__}"
        )
    return examination.found


class _EnoughError(Exception):
    pass


class _Examination:
    """One verification under way."""

    def __init__(self, files: Files, known: Sequence[Verifier], most: int) -> None:
        self._files = files
        self._known = known
        self._most = most
        self._spine: list[list[bytes]] = [[]]  # roots of full tiles not yet covered, by level
        self._kept = array("Q")
        self._remembered: dict[int, list[bytes]] = {}
        self.found = Verification()

    def run(self, remembered: Sequence[bytes], workers: int | None) -> None:
        newest = self._newest()
        if newest is None:
            return
        found = self.found
        found.origin, found.size, found.root = newest.origin, newest.size, newest.root
        self._check_key(newest.origin)
        self._list_kept(newest.size)
        for data in remembered:
            self._remember(data, newest)
        self._check_tree(newest, workers)
        for problem in strays.problems_of(self._files, newest.size, found.remarks):
            self._wrong(problem)
        for problem in sums.problems_of(self._files):
            self._wrong(problem)

    def _wrong(self, *problems: str) -> None:
        for problem in problems:
            self.found.problems.append(problem)
            if len(self.found.problems) >= self._most:
                raise _EnoughError

    def _read(self, path: str) -> bytes | None:
        problems: list[str] = []
        data = read(self._files, path, problems)
        self._wrong(*problems)
        return data

    def _newest(self) -> Checkpoint | None:
        data = self._read(CHECKPOINT)
        if data is None:
            return None
        try:
            return checkpoints.verify(data, self._known)
        except ValueError as error:
            self._wrong(f"{CHECKPOINT} {error}")
            return None

    def _check_key(self, origin: str) -> None:
        data = self._files.read(KEY)
        known = [f"{one.vkey}\n".encode() for one in self._known if one.name == origin]
        if data is not None and data not in known:
            self._wrong(f"{KEY} is not the key that this was verified with")

    def _list_kept(self, size: int) -> None:
        for path in self._files.below(CHECKPOINTS):
            name = path.removeprefix(f"{CHECKPOINTS}/")
            if name.startswith(".") and name.endswith(".partial"):
                self.found.remarks.append(f"{path} was left by an interrupted append")
            elif not (name.isascii() and name.isdecimal() and name == str(int(name))):
                self._wrong(f"{path} is not part of a log")
            elif int(name) > size:
                self._wrong(f"{path} is newer than the checkpoint: the log was put back")
            else:
                self._kept.append(int(name))
        self._kept = array("Q", sorted(self._kept))

    def _remember(self, data: bytes, newest: Checkpoint) -> None:
        try:
            seen = checkpoints.verify(data, self._known)
        except ValueError as error:
            self._wrong(f"the remembered checkpoint {error}")
            return
        if seen.origin != newest.origin:
            self._wrong(f"the remembered checkpoint is of another log, {seen.origin}")
        elif seen.size > newest.size:
            self._wrong(
                f"the log was put back: it has {newest.size} entries, "
                f"but had {seen.size} when it was seen before"
            )
        elif seen.size:
            self._remembered.setdefault(seen.size, []).append(seen.root)

    def _check_tree(self, newest: Checkpoint, workers: int | None) -> None:
        size = newest.size
        if workers is None:
            workers = (os.cpu_count() or 1) if size >= _WORTH_PROCESSES * WIDTH else 0
        if self._kept and self._kept[0] == 0:
            self._check_kept(0, tree.EMPTY_ROOT)
        leaves: list[bytes] = []
        with closing(derive_all(self._files, self._wanted(size), workers=workers)) as derived:
            for index, one in enumerate(derived):
                self._wrong(*one.problems)
                leaves = tiles.decode_tile(one.leaves, len(one.leaves) // tree.HASH_SIZE)
                if leaves:
                    self._check_tile(index * WIDTH, leaves)
                if one.root:
                    self._rise(index, one.root)
                    leaves = []
                elif not leaves:
                    self._wrong(f"from entry {index * WIDTH} on the tree cannot be derived")
                    return
        for level, hashes in enumerate(self._spine):
            if hashes:
                self._compare(Place(level, size >> 8 * (level + 1), len(hashes)), hashes)
        if tree.fold_levels([leaves, *self._spine[1:]]) != newest.root:
            self._wrong(f"{CHECKPOINT}: the entries do not lead to its root")

    def _wanted(self, size: int) -> Iterator[Wanted]:
        for start in range(0, size, WIDTH):
            width = min(WIDTH, size - start)
            yield start // WIDTH, width, bool(self._sizes(start, start + width))

    def _sizes(self, start: int, end: int) -> list[int]:
        # The sizes within a tile at which somebody has seen a root.
        kept = self._kept[bisect_right(self._kept, start) : bisect_right(self._kept, end)]
        return sorted({*kept, *(size for size in self._remembered if start < size <= end)})

    def _check_tile(self, start: int, leaves: list[bytes]) -> None:
        sizes = self._sizes(start, start + len(leaves))
        if not sizes:
            return
        above = tree.peaks_of_levels([[], *self._spine[1:]])
        levels = tree.pyramid(leaves)
        for size in sizes:
            ranges = tree.perfect_ranges((0, size - start))
            heights = [((end - begin).bit_length() - 1, begin) for begin, end in ranges]
            root = tree.fold([*above, *(levels[high][begin >> high] for high, begin in heights)])
            if self._is_kept(size):
                self._check_kept(size, root)
            if any(seen != root for seen in self._remembered.get(size, ())):
                self._wrong(
                    f"the first {size} entries are not those that were seen before: "
                    "the log was rewritten"
                )

    def _is_kept(self, size: int) -> bool:
        at = bisect_right(self._kept, size)
        return at > 0 and self._kept[at - 1] == size

    def _check_kept(self, size: int, root: bytes) -> None:
        path = f"{CHECKPOINTS}/{size}"
        data = self._read(path)
        if data is None:
            return
        self.found.checkpoints += 1
        try:
            kept = checkpoints.verify(data, self._known)
        except ValueError as error:
            self._wrong(f"{path} {error}")
            return
        if kept.origin != self.found.origin or kept.size != size:
            self._wrong(f"{path} is a checkpoint of another log or size")
        elif kept.root != root:
            self._wrong(f"{path}: the first {size} entries are not those that were signed")

    def _rise(self, index: int, root: bytes) -> None:
        level = 0
        while True:
            level += 1
            if level == len(self._spine):
                self._spine.append([])
            hashes = self._spine[level]
            hashes.append(root)
            if len(hashes) < WIDTH:
                return
            index //= WIDTH
            self._compare(Place(level, index), hashes)
            root = tree.perfect_root(hashes)
            hashes.clear()

    def _compare(self, place: Place, hashes: Sequence[bytes]) -> None:
        data = self._read(place.path)
        if data is not None and data != tiles.encode_tile(hashes):
            self._wrong(f"{place.path} is not what the tiles below it say")
