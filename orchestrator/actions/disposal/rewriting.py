"""Reading every manifest of a primary, and storing snapshots and manifests anew without studies.

Nothing is forgotten here: until the exchange, what is stored anew lies beside what it will
replace, and is discarded if anything is not as it must be.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.actions.as_of import REPLACES, REWRITTEN
from orchestrator.actions.disposal.look import Pair
from orchestrator.actions.disposal.manifests import Found, Sieve, common_roots
from orchestrator.actions.manifests import lines_of
from orchestrator.errors import DamageError

if TYPE_CHECKING:
    from orchestrator.engines.restic.repository import Repository
    from orchestrator.engines.restic.values import Snapshot

WORKERS = 2
"""Each holds two restic processes: one reads a manifest, one stores it."""


@dataclass(slots=True)
class Anew:
    """What stands ready to replace a pair.

    Attributes:
        pair: The pair.
        found: What its manifest names of the studies; at least one entry.
        manifest: Id of the manifest that was stored anew.
        manifest_bytes: Its length.
        data: The data snapshot that was stored anew; None if the old one holds nothing of them.
    """

    pair: Pair
    found: Found
    manifest: str
    manifest_bytes: int
    data: Snapshot | None = None


class Manifests:
    """Reads the manifests of a primary and stores those anew that name the studies.

    Args:
        engine: restic on the primary.
        store: Store name.
        sieve: Knows the studies.
        expected: Says of a run whether its manifest is likely to name them; one that does
            unexpectedly is read twice.
        check_stop: Raises if the work is to end.
    """

    def __init__(
        self,
        engine: Repository,
        store: str,
        sieve: Sieve,
        *,
        expected: Callable[[str], bool],
        check_stop: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._store = store
        self._sieve = sieve
        self._expected = expected
        self._check_stop = check_stop
        self._noting = threading.Lock()
        self.useless: list[str] = []

    def store_anew(self, pairs: Sequence[Pair]) -> list[Anew]:
        """Store the manifests anew that name the studies; `useless` then is to be forgotten.

        Raises:
            DamageError: A manifest is not whole.
            OrchestratorError: restic failed.
        """
        with ThreadPoolExecutor(WORKERS, "manifest") as pool:
            read = list(pool.map(self._one, pairs))
            # What was doubtful when it was read may have been the studies', as others told later.
            for number, (found, _) in enumerate(read):
                if found.doubtful & self._sieve.paths.keys():
                    self._discard(read[number][1])
                    read[number] = self._store_one(pairs[number])
        return [
            Anew(pair, found, *stored)
            for pair, (found, stored) in zip(pairs, read, strict=True)
            if stored is not None
        ]

    def _one(self, pair: Pair) -> tuple[Found, tuple[str, int] | None]:
        self._check_stop()
        if not self._expected(pair.data.run_id):
            found = self._sieve.scan(self._lines(pair))
            if not found.entries:
                return found, None
        return self._store_one(pair)

    def _store_one(self, pair: Pair) -> tuple[Found, tuple[str, int] | None]:
        found = Found()
        kept = [tag for tag in pair.listed_manifest.tags if not tag.startswith(REPLACES)]
        done = self._engine.backup_stream(
            "manifest.jsonl",
            self._sieve.sift(self._lines(pair), found),
            tags=[*kept, REPLACES + pair.data.id],
            at=pair.listed_manifest.time,
        )
        stored = (done.snapshot_id, done.bytes)
        if not found.entries:
            self._discard(stored)
            return found, None
        return found, stored

    def _lines(self, pair: Pair) -> Iterator[bytes]:
        return lines_of(self._engine.dump(pair.manifest.id, "/manifest.jsonl"))

    def _discard(self, stored: tuple[str, int] | None) -> None:
        if stored is not None:
            with self._noting:
                self.useless.append(stored[0])


def rewrite(engine: Repository, anew: Sequence[Anew], check_stop: Callable[[], None]) -> None:
    """Store the data snapshots anew without the studies, and prove that nothing else differs.

    One call of restic normally does for all. Where a path that goes is another's in another
    snapshot, that one is done again by its own manifest alone, at last file by file. A folder that
    is empty then stays only where something that is kept lies in it in another snapshot.

    Raises:
        DamageError: A snapshot cannot be stored anew without losing something else.
        OrchestratorError: restic failed.
    """
    left = _attempt(engine, anew, common_roots(one.found for one in anew), check_stop)
    for exact in (False, True):
        again: dict[frozenset[bytes], list[Anew]] = {}
        for one in left:
            paths = one.found.entries if exact else one.found.roots.values()
            again.setdefault(frozenset(paths), []).append(one)
        useless = [one.data.id for one in left if one.data is not None]
        if useless:
            engine.forget(useless)
        left = [
            one
            for paths, group in again.items()
            for one in _attempt(engine, group, paths, check_stop)
        ]
    if left:
        raise DamageError(
            f"{engine.name}: {len(left)} snapshots cannot be stored without the studies that are "
            "disposed of: something else would be lost, or some of them would stay",
            hint="orchestrator check; nothing was forgotten",
        )


def _attempt(
    engine: Repository,
    anew: Sequence[Anew],
    paths: Collection[bytes],
    check_stop: Callable[[], None],
) -> list[Anew]:
    """Store data snapshots anew; return those that do not come out as they must."""
    if not anew:
        return []
    wanted = {one.pair.data.id: one for one in anew}
    engine.rewrite(list(wanted), exclude=paths)
    for one in wanted.values():
        one.data = None
    for snapshot in engine.snapshots():
        if snapshot.original in wanted and REWRITTEN in snapshot.tags:
            before = wanted[snapshot.original].pair.data.id
            if snapshot.id != before:
                wanted[before].data = snapshot
    with ThreadPoolExecutor(WORKERS, "compare") as pool:
        good = list(pool.map(lambda one: _comes_out(engine, one, check_stop), anew))
    return [one for one, is_good in zip(anew, good, strict=True) if not is_good]


def _comes_out(engine: Repository, one: Anew, check_stop: Callable[[], None]) -> bool:
    """Say whether a snapshot lost the studies and nothing else."""
    check_stop()
    going = {mangled(path) for path in one.found.entries}
    removed: set[str] = set()
    if one.data is not None:
        found = engine.difference(one.pair.data.id, one.data.id)
        removed = set(found.removed)
        if found.others or removed - going:
            return False
    there = going - removed
    if not there:
        return True
    # Not in the old one either, then: vanished, or could not be read when it was taken.
    snapshot = one.data.id if one.data is not None else one.pair.data.id
    return not any(node.path.strip("/") in there for node in engine.ls(snapshot))


def mangled(path: bytes) -> str:
    """Return a path as restic writes it in JSON: each byte that is not UTF-8 is lost."""
    text = path.decode("utf-8", "surrogateescape")
    return "".join("\ufffd" if "\udc80" <= char <= "\udcff" else char for char in text)
