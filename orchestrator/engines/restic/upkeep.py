"""The verbs that keep a repository in order: check, forget, prune, locks, index, keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.engines.restic import argv, argv_upkeep, messages
from orchestrator.engines.restic.access import QUICK_S, Access, Ended, Verb
from orchestrator.engines.restic.argv_upkeep import KeepPolicy
from orchestrator.engines.restic.values import CheckReport, ForgetDecision, Key, Lock
from orchestrator.errors import EngineError, RefusedError

_DAMAGED = 1
_FOUND_DAMAGE = "repository contains errors"


class Upkeep(Access):
    """The part of `Repository` that keeps it in order."""

    __slots__ = ()

    def check(
        self, *, read_data: bool = False, subset: tuple[int, int] | None = None
    ) -> CheckReport:
        """Check the structure of the repository, and all or a part of its data.

        Damage is a result, not an error.

        Args:
            read_data: Read every pack.
            subset: Read part n of t of the packs instead, 1 <= n <= t <= 256.

        Raises:
            DamageError: The repository is too damaged to be opened.
            NotFoundError: There is no repository.
            LockedError: Another program holds a lock.
            CredentialError: The password opens no key.
            StoppedError: It was asked to stop.
            EngineError: Anything else.
            UsageError: The subset is out of range.
        """
        verb = Verb(
            argv_upkeep.check(read_data=read_data, subset=subset), "the check", accept=(0, _DAMAGED)
        )
        found: list[CheckReport] = []

        def take(line: bytes) -> None:
            document = messages.decode(line)
            if document is not None and messages.message_type(document) == "summary":
                found.append(messages.check_report(document))

        ended = self.run(verb, take)
        damaged = ended.returncode == _DAMAGED
        if damaged and _FOUND_DAMAGE not in ended.complaints.final:
            # restic counts its own failure (full disk, no access) as one error, too.
            raise self.failed(verb, ended)
        if not found or damaged != (found[-1].errors > 0):
            raise EngineError(f"{self.name}: the check ended without a clear result")
        return found[-1]

    def forget_plan(self, policy: KeepPolicy, *, tags: Sequence[str]) -> list[ForgetDecision]:
        """Ask which of the snapshots with all of these tags a policy would keep.

        Nothing is changed.

        Raises:
            UsageError: The policy keeps nothing, or a tag is malformed or missing.
            EngineError: restic failed, in one of the ways `check` lists.
        """
        verb = self._question(argv_upkeep.forget_plan(policy, tags=tags), "planning the rotation")
        lines: list[bytes] = []
        self.run(verb, lines.append)
        # Where no snapshot has the tags, restic ends well and says nothing at all.
        return messages.forget_decisions(_document(self.name, verb, lines)) if lines else []

    def forget(self, ids: Sequence[str]) -> None:
        """Remove snapshots from the list; their data stays until `prune`.

        Args:
            ids: Full ids.

        Raises:
            UsageError: An id is malformed, or there is none.
            RefusedError: The repository is a replica.
            EngineError: restic failed in one of the ways `check` lists, or a snapshot is still
                there although it said nothing.
        """
        self._writable("the rotation")
        self.run(Verb(argv_upkeep.forget(ids), "the rotation"))
        left = self._still_there(ids)
        if left:
            raise EngineError(f"{self.name}: {left} snapshots are still there after the rotation")

    def _still_there(self, ids: Sequence[str]) -> int:
        if self.location.startswith("/"):
            folder = Path(self.location, "snapshots")
            return sum((folder / one).exists() for one in ids)
        verb = self._question(argv.snapshots(ids=(), tags=()), "listing snapshots")
        present = {str(one.get("id")) for one in self.document(verb) or ()}
        return len(present.intersection(ids))

    def prune(self, *, max_unused: str | None = None) -> None:
        """Remove data that no snapshot needs.

        Args:
            max_unused: How much of it may stay: ``0`` for none (a disposal), ``5%``, ``200M``,
                ``unlimited``; None leaves it to restic, which tolerates 5 %.

        Raises:
            UsageError: `max_unused` is malformed.
            RefusedError: The repository is a replica.
            EngineError: restic failed, in one of the ways `check` lists.
        """
        self._writable("pruning")
        self.run(Verb(argv_upkeep.prune(max_unused), "pruning"))

    def unlock(self) -> None:
        """Remove locks whose process is dead; never those of a living one.

        Raises:
            RefusedError: The repository is a replica.
            EngineError: restic failed, in one of the ways `check` lists.
        """
        self._writable("removing stale locks")
        self.run(Verb(argv_upkeep.unlock(), "removing stale locks", timeout_s=QUICK_S))

    def locks(self) -> list[Lock]:
        """Return the locks that are there now.

        Raises:
            EngineError: restic failed, in one of the ways `check` lists.
        """
        ids: list[str] = []
        self.run(self._question(argv_upkeep.list_locks(), "listing locks"), ids_into(ids))
        locks: list[Lock] = []
        for lock_id in ids:
            verb = self._question(argv_upkeep.cat_lock(lock_id), "reading a lock")
            locks.append(messages.lock(lock_id, self.document(verb)))
        return locks

    def needs_pack(self, pack: str, *, snapshots: Sequence[str]) -> bool:
        """Say whether any of some snapshots needs anything that is in a pack.

        Args:
            pack: Name of the pack, 64 hex digits.
            snapshots: Full ids, at least one.

        Raises:
            DamageError: A tree that would tell cannot be read.
            EngineError: restic failed, in one of the ways `check` lists.
            UsageError: An id is malformed.
        """
        verb = self._question(
            argv_upkeep.find_pack(pack, snapshots=snapshots), "looking into a pack"
        )
        return bool(self.document(verb))

    def repair_index(self) -> None:
        """Build the index anew; packs an interrupted backup left are adopted.

        Raises:
            RefusedError: The repository is a replica.
            EngineError: restic failed, in one of the ways `check` lists.
        """
        self._writable("repairing the index")
        self.run(Verb(argv_upkeep.repair_index(), "repairing the index"))

    def keys(self) -> list[Key]:
        """Return the keys that open the repository.

        Raises:
            EngineError: restic failed, in one of the ways `check` lists.
        """
        verb = self._question(argv_upkeep.list_keys(), "listing keys")
        return [messages.key(one) for one in self.document(verb) or ()]

    def document(self, verb: Verb) -> Any:
        """Run a command whose whole output is one JSON document, and return that.

        Raises:
            EngineError: The output is something else, or restic failed.
        """
        return self.answer(verb)[0]

    def answer(self, verb: Verb) -> tuple[Any, Ended]:
        """Return a command's JSON document, and how it ended.

        Raises:
            EngineError: The output is something else, or restic failed.
        """
        lines: list[bytes] = []
        ended = self.run(verb, lines.append)
        return _document(self.name, verb, lines), ended

    def _question(self, command: tuple[str, ...], doing: str) -> Verb:
        """Return a command that only looks something up and needs no lock for that."""
        return Verb(command, doing, lock=False, timeout_s=QUICK_S)

    def _writable(self, doing: str) -> None:
        if self.read_only:
            raise RefusedError(f"{self.name}: {doing} is not done on a replica")


def _document(name: str, verb: Verb, lines: list[bytes]) -> Any:
    try:
        return json.loads(b"\n".join(lines))
    except ValueError:
        raise EngineError(f"{name}: {verb.doing} gave no readable answer") from None


def ids_into(ids: list[str]) -> Callable[[bytes], None]:
    """Return what takes the lines of a list of full ids."""

    def take(line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        if text:
            ids.append(argv.full_id(text))

    return take
