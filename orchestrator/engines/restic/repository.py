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
from orchestrator.engines.restic.access import Ended, Verb, memory_file
from orchestrator.engines.restic.failure import PARTIAL
from orchestrator.engines.restic.patterns import include_file
from orchestrator.engines.restic.rewriting import Rewriting
from orchestrator.engines.restic.values import (
    BackupSummary,
    Node,
    Progress,
    RestoreSummary,
    Snapshot,
)
from orchestrator.errors import (
    DamageError,
    EngineError,
    NotFoundError,
    StoreUnavailableError,
    UsageError,
)


class Repository(Rewriting):
    """A repository; see `Access` for how it is opened, `Upkeep` and `Rewriting` for other verbs."""

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

    def restore(
        self,
        snapshot_id: str,
        target: Path,
        *,
        include: Sequence[bytes] | None = None,
        exclude: Sequence[bytes] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_file: Callable[[bytes], None] | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> RestoreSummary:
        """Restore a snapshot into a folder; what is there already is left alone.

        This proves nothing yet: compare what was restored with the manifest.

        Args:
            snapshot_id: Full id.
            target: The folder, made if it is not there.
            include: Paths below the snapshot's root, taken literally, with all that lies below
                them; raw bytes with forward slashes. None restores everything.
            exclude: Paths to leave out, in the same form; not together with `include`.
            on_progress: Called about once a second.
            on_file: Called with each path below the root whose content restic says is whole:
                files, folders and links alike; its times and mode may follow later, and a name
                that is not UTF-8 is mangled.
            on_end: Called as soon as restic has ended well: from then on it writes nothing.

        Raises:
            NotFoundError: There is no such snapshot, or it lacks a path that was asked for.
            DamageError: Something needed is damaged.
            UsageError: The id is malformed, `include` is empty, a path is, or both are given.
            EngineError: restic failed, in one of the ways `check` lists; the target is not to be
                used.
        """
        found: list[RestoreSummary] = []

        def take(line: bytes) -> None:
            document = messages.decode(line)
            if document is None:
                return
            match messages.message_type(document):
                case "verbose_status" if on_file is not None:
                    on_file(messages.restored_path(document))
                case "summary":
                    found.append(messages.restore_summary(document))
                case "status":
                    _report(document, on_progress)

        if include is not None and exclude:
            raise UsageError("what to restore and what to leave out cannot be named together")
        with (
            memory_file(_patterns(include)) as include_fd,
            memory_file(_patterns(exclude or None)) as exclude_fd,
        ):
            command = argv.restore(
                snapshot_id,
                target,
                include_fd=include_fd,
                exclude_fd=exclude_fd,
                each_file=on_file is not None,
            )
            fds = tuple(fd for fd in (include_fd, exclude_fd) if fd is not None)
            verb = Verb(command, "the restore", fds=fds)
            ended = self.run(verb, take)
            if on_end is not None:
                on_end()
        if not found or ended.complaints.problems_total:
            raise self.failed(verb, ended)
        self._require_restored(target, include or ())
        return found[-1]

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
                    _report(document, on_progress)
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

    def _require_restored(self, target: Path, include: Sequence[bytes]) -> None:
        root = os.fsencode(target)
        paths = [os.path.join(root, path.strip(b"/")) for path in include]
        missing = sum(not os.path.lexists(path) for path in paths)
        if missing:
            raise NotFoundError(
                f"{self.name}: {missing} of {len(paths)} paths are not in the snapshot"
            )


def _report(document: messages.Doc, on_progress: Callable[[Progress], None] | None) -> None:
    if on_progress is not None:
        on_progress(messages.progress(document))


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


def _patterns(include: Sequence[bytes] | None) -> bytes | None:
    if include is not None and not include:
        raise UsageError("nothing to restore was named")
    return None if include is None else include_file(include)
