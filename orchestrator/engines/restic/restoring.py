"""The verb that restores: what restic says of it, and what its exit code 0 does not prove.

That the content is right is the manifest's business.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.engines.restic import argv, messages
from orchestrator.engines.restic.access import Verb, memory_file
from orchestrator.engines.restic.patterns import include_file
from orchestrator.engines.restic.rewriting import Rewriting
from orchestrator.engines.restic.values import Progress, RestoreSummary
from orchestrator.errors import NotFoundError, UsageError


class Restoring(Rewriting):
    """The part of `Repository` that restores."""

    __slots__ = ()

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
                    report(document, on_progress)

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

    def _require_restored(self, target: Path, include: Sequence[bytes]) -> None:
        root = os.fsencode(target)
        paths = [os.path.join(root, path.strip(b"/")) for path in include]
        missing = sum(not os.path.lexists(path) for path in paths)
        if missing:
            raise NotFoundError(
                f"{self.name}: {missing} of {len(paths)} paths are not in the snapshot"
            )


def report(document: messages.Doc, on_progress: Callable[[Progress], None] | None) -> None:
    """Tell how far restic is, if anybody wants to know."""
    if on_progress is not None:
        on_progress(messages.progress(document))


def _patterns(include: Sequence[bytes] | None) -> bytes | None:
    if include is not None and not include:
        raise UsageError("nothing to restore was named")
    return None if include is None else include_file(include)
