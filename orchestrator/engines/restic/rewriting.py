"""The verbs of a disposal: rewriting snapshots, comparing them, proving what is left.

restic's own ``check --check-unused`` has been ignored since 0.18, so that nothing unused is left is
proved by counting: the index names as many blobs as the snapshots need.

Source: restic's documentation, "Removing files from snapshots"; its behaviour in 0.18.0 and 0.19.1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestrator.engines.restic import argv_rewriting, messages
from orchestrator.engines.restic.access import Verb, memory_file
from orchestrator.engines.restic.patterns import include_file
from orchestrator.engines.restic.upkeep import Upkeep, ids_into
from orchestrator.engines.restic.values import Contents, Difference
from orchestrator.errors import EngineError, UsageError

_ID_DIGITS = 64


class Rewriting(Upkeep):
    """The part of `Repository` that takes files out of snapshots."""

    __slots__ = ()

    def rewrite(self, ids: Sequence[str], *, exclude: Collection[bytes]) -> None:
        """Store snapshots anew without some paths; the old ones stay until `forget`.

        A snapshot that has none of the paths is not stored anew. restic says nothing a program
        could read: what came of it is found in the list, by `Snapshot.original`. The new ones bear
        one tag more, ``rewrite``.

        Args:
            ids: Full ids.
            exclude: Paths below the snapshots' root, taken literally, with all that lies below
                them; raw bytes with forward slashes.

        Raises:
            UsageError: An id is malformed, or there is no id or no path.
            RefusedError: The repository is a replica.
            DamageError: Something needed is damaged.
            EngineError: restic failed, in one of the ways `check` lists.
        """
        self._writable("rewriting snapshots")
        if not exclude:
            raise UsageError("nothing to leave out was named")
        with memory_file(include_file(exclude)) as fd:
            assert fd is not None  # noqa: S101 - there is content
            command = argv_rewriting.rewrite(ids, fd)
            self.run(Verb(command, "rewriting snapshots", fds=(fd,)))

    def difference(self, before: str, after: str) -> Difference:
        """Compare two snapshots by the content and the facts of every file.

        Args:
            before: Full id.
            after: Full id.

        Raises:
            NotFoundError: One of them is not there.
            DamageError: A tree cannot be read.
            EngineError: restic failed, in one of the ways `check` lists, or said nothing.
        """
        removed: list[str] = []
        folders: list[str] = []
        ended: list[bool] = []
        others = 0

        def take(line: bytes) -> None:
            nonlocal others
            document = messages.decode(line)
            match messages.message_type(document) if document is not None else "":
                case "change" if document is not None:
                    path, modifier = messages.changed_path(document)
                    if modifier == "-":
                        (folders if path.endswith("/") else removed).append(path.strip("/"))
                    elif not (modifier == "U" and path.endswith("/")):
                        # A folder in which something changed is itself "U".
                        others += 1
                case "statistics":
                    ended.append(True)

        verb = Verb(argv_rewriting.diff(before, after), "comparing snapshots", lock=False)
        self.run(verb, take)
        if not ended:
            raise EngineError(f"{self.name}: {verb.doing} ended without a result")
        return Difference(tuple(removed), tuple(folders), others)

    def contents(self, wanted: Collection[str]) -> Contents:
        """Count the blobs the index names and those the snapshots need, and look for some.

        Args:
            wanted: Ids of blobs, 64 hex digits: the SHA-256 of a file that is below 512 KiB.

        Raises:
            DamageError: Index or trees are damaged.
            EngineError: restic failed, in one of the ways `check` lists.
        """
        looked_for = {one.encode() for one in wanted}
        found: set[str] = set()
        count = 0

        def take(line: bytes) -> None:
            nonlocal count
            if line.startswith((b"data ", b"tree ")):
                count += 1
                name = line[-_ID_DIGITS:]
                if name in looked_for:
                    found.add(name.decode())

        self.run(
            Verb(argv_rewriting.list_blobs(), "listing what the index names", lock=False), take
        )
        used = self.document(
            Verb(argv_rewriting.count_used(), "counting what is needed", lock=False)
        )
        needed = used.get("total_blob_count") if isinstance(used, dict) else None
        if not isinstance(needed, int):
            raise EngineError(f"{self.name}: counting what is needed gave no number")
        return Contents(count, needed, frozenset(found))

    def indexed_packs(self) -> frozenset[str]:
        """Return the ids of the packs that the index names.

        Raises:
            DamageError: The index is damaged.
            EngineError: restic failed, in one of the ways `check` lists.
        """
        return frozenset().union(*self.indexes().values())

    def indexes(self, *, besides: Collection[str] = ()) -> dict[str, frozenset[str]]:
        """Return the ids of the packs that each index file names; all are of this repository's key.

        Args:
            besides: Ids of index files that are left out.

        Raises:
            DamageError: One is damaged.
            EngineError: restic failed, in one of the ways `check` lists.
        """
        ids: list[str] = []
        listing = self._question(argv_rewriting.list_index(), "listing the index")
        self.run(listing, ids_into(ids))
        found: dict[str, frozenset[str]] = {}
        for one in ids:
            if one in besides:
                continue
            body = self.document(self._question(argv_rewriting.cat_index(one), "reading the index"))
            try:
                found[one] = frozenset(str(pack["id"]) for pack in body["packs"] or ())
            except (KeyError, TypeError):
                raise EngineError(f"{self.name}: the index has an unknown form") from None
        return found
