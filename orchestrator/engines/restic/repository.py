"""A restic repository and what can be done with it.

The driver knows restic and nothing of the product: no store, no catalog, no schedule. What
restic's exit code 0 does not prove is checked here as far as restic's own output allows; the
rest is the manifest's business.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from orchestrator.engines.pipes import Lines
from orchestrator.engines.restic import argv, messages
from orchestrator.engines.restic.access import Ended, Verb
from orchestrator.engines.restic.failure import PARTIAL
from orchestrator.engines.restic.restoring import Restoring, report
from orchestrator.engines.restic.values import (
    BackupSummary,
    Node,
    Progress,
    Snapshot,
)
from orchestrator.errors import (
    DamageError,
    EngineError,
    NotFoundError,
    StoreUnavailableError,
)


class Repository(Restoring):
    """A repository; `Restoring`, `Rewriting`, `Upkeep` have other verbs, `Access` the opening."""

    __slots__ = ()

    def init(self) -> str:
        """Make a new, empty repository.

        Returns:
            Its id.

        Raises:
            RefusedError: There is one already, or this is a replica.
            EngineError: restic failed.
        """
        self._writable("making a repository")
        answer = self.document(Verb(argv.init(), "making the repository"))
        return argv.full_id(str(answer.get("id")))

    def config_id(self) -> str:
        """Return the repository's id; this opens it, so it proves the password, too.

        Raises:
            NotFoundError: There is no repository.
            CredentialError: The password opens no key.
            DamageError: It is damaged.
            EngineError: restic failed.
        """
        answer = self.document(self._question(argv.cat_config(), "opening the repository"))
        return argv.full_id(str(answer.get("id")))

    def backup(
        self,
        root: Path,
        *,
        tags: Sequence[str],
        parent: str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> BackupSummary:
        """Back up a folder; its content lies at the snapshot's root.

        Files that vanish meanwhile are missing without a word from restic: compare the counts.

        Args:
            root: The folder.
            tags: Tags of the snapshot.
            parent: Full id of the snapshot by which files count as unchanged; None takes the
                newest one of the same folder.
            on_progress: Called about once a second, without totals.

        Returns:
            The summary; `partial` if some files could not be read.

        Raises:
            StoreUnavailableError: The folder is not there.
            RefusedError: The repository is a replica.
            NotFoundError: There is no repository.
            LockedError: Another program holds an exclusive lock.
            CredentialError: The password opens no key.
            StoppedError: It was asked to stop.
            UsageError: A tag or the parent's id is malformed.
            EngineError: Anything else; nothing was saved.
        """
        self._writable("a backup")
        if not os.path.isdir(root):
            raise StoreUnavailableError(f"{self.name}: the folder to back up is not there")
        command = argv.backup(tags, parent=parent)
        return self._backup(Verb(command, "the backup", accept=(0, PARTIAL), cwd=root), on_progress)

    def backup_stream(
        self,
        name: str,
        chunks: Iterable[bytes],
        *,
        tags: Sequence[str],
        at: datetime | None = None,
    ) -> BackupSummary:
        """Back up a stream of bytes as one file at the snapshot's root.

        If the stream raises, no snapshot is made.

        Args:
            name: The file's name.
            chunks: Its content, taken by another thread.
            tags: Tags of the snapshot.
            at: The snapshot's time, aware, to the second; None for now.

        Raises:
            Exception: Whatever `chunks` raises.
            OrchestratorError: As for `backup`.
        """
        self._writable("a backup")
        command = argv.backup_stream(name, tags, at=at)
        return self._backup(Verb(command, "the backup of a stream", stdin=chunks), None)

    def snapshots(self, *, tags: Sequence[str] = ()) -> list[Snapshot]:
        """Return all snapshots with all of these tags, oldest first.

        Raises:
            DamageError: A snapshot is there and cannot be read; restic would leave it out.
            EngineError: restic failed, in one of the ways `check` lists.
        """
        return self._snapshots((), tags)

    def snapshot(self, snapshot_id: str) -> Snapshot:
        """Return one snapshot.

        Raises:
            NotFoundError: It is not there.
            UsageError: The id is not a full one.
            EngineError: restic failed, in one of the ways `check` lists.
        """
        found = self._snapshots((snapshot_id,), ())
        if not found:
            raise NotFoundError(f"{self.name}: there is no snapshot {snapshot_id[:8]}")
        return found[0]

    def dump(self, snapshot_id: str, path: str) -> Iterator[bytes]:
        """Yield the content of one file of a snapshot; closing the iterator stops restic.

        The path appears in restic's arguments: not for images, only for files with names of
        ours (manifest, state).

        Args:
            snapshot_id: Full id.
            path: Path in the snapshot.

        Raises:
            NotFoundError: There is no such snapshot or file.
            DamageError: The content is damaged.
            EngineError: restic failed, in one of the ways `check` lists; what came until then is
                worth nothing.
        """
        yield from self.stream(Verb(argv.dump(snapshot_id, path), "reading a file"))

    def ls(self, snapshot_id: str) -> Iterator[Node]:
        """Yield everything a snapshot holds, in tree order.

        Raises:
            NotFoundError: There is no such snapshot.
            DamageError: The snapshot is damaged.
            EngineError: restic failed, in one of the ways `check` lists.
        """
        held: list[bytes] = []
        lines = Lines(held.append, "restic")
        for piece in self.stream(Verb(argv.ls(snapshot_id), "listing a snapshot")):
            lines.feed(piece)
            yield from _nodes(held)
        lines.end()
        yield from _nodes(held)

    def _backup(self, verb: Verb, on_progress: Callable[[Progress], None] | None) -> BackupSummary:
        found: list[BackupSummary] = []

        def take(line: bytes) -> None:
            document = messages.decode(line)
            if document is None:
                return
            match messages.message_type(document):
                case "summary":
                    found.append(messages.backup_summary(document))
                case "status":
                    report(document, on_progress)
                case _:
                    messages.log_unknown(document)

        ended = self.run(verb, take)
        if not found:
            raise EngineError(f"{self.name}: {verb.doing} ended without saving a snapshot")
        return _with_problems(found[-1], ended)

    def _snapshots(self, ids: Sequence[str], tags: Sequence[str]) -> list[Snapshot]:
        verb = self._question(argv.snapshots(ids=ids, tags=tags), "listing snapshots")
        answer, ended = self.answer(verb)
        if ended.complaints.damaged:
            raise DamageError(
                f"{self.name}: a snapshot is there and cannot be read",
                hint="run `orchestrator check` to learn which, and heal it from another copy",
            )
        found = [messages.snapshot(one) for one in answer or ()]
        return sorted(found, key=lambda snapshot: (snapshot.time, snapshot.id))


def _nodes(lines: list[bytes]) -> Iterator[Node]:
    """Yield the entries among these lines, and forget the lines."""
    documents = [messages.decode(line) for line in lines]
    lines.clear()
    for document in documents:
        if document is not None and messages.message_type(document) == "node":
            yield messages.node(document)


def _with_problems(summary: BackupSummary, ended: Ended) -> BackupSummary:
    complaints = ended.complaints
    return dataclasses.replace(
        summary,
        partial=ended.returncode == PARTIAL or complaints.problems_total > 0,
        problems=tuple(complaints.problems),
        problems_total=complaints.problems_total,
    )
