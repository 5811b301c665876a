"""The restore of a drill: the manifest is read, restic restores, each file is read as it arrives.

Knows one snapshot on an open copy; chooses none and judges nothing.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.actions.drills import checks
from orchestrator.actions.drills.comparison import Findings, Restored, compare, ended_ns
from orchestrator.actions.drills.expected import Expectation
from orchestrator.actions.drills.manifest import Selection, read_manifest
from orchestrator.actions.drills.parts import Known, Proof, Watch
from orchestrator.actions.drills.reading import ReadingAlong
from orchestrator.drills.points import newest_day
from orchestrator.drills.result import DrillResult
from orchestrator.drills.scope import Scope
from orchestrator.errors import DamageError, NotFoundError, OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.actions.drills.sandbox import Sandbox
    from orchestrator.actions.drills.snapshots import Held
    from orchestrator.actions.site import Site
    from orchestrator.engines.restic.repository import Repository


@dataclass(frozen=True, slots=True)
class BringingBack:
    """One restore of a drill.

    Attributes:
        site: Clock, stop, progress.
        scope: What to restore.
        known: What is known beforehand.
        result: Gets the checks of manifest and restore.
        watch: Gets the instant of the first file.
        proof: Gets what had to be there.
        look: Raises if the copy is no longer there: damage is only what is still there.
    """

    site: Site
    scope: Scope
    known: Known
    result: DrillResult
    watch: Watch
    proof: Proof
    look: Callable[[], None]

    def restore(self, engine: Repository, box: Sandbox, chosen: Held) -> Findings | None:
        """Restore what the drill is about, and compare it with the manifest.

        Args:
            engine: restic on the copy.
            box: Where to restore to.
            chosen: The snapshot.

        Returns:
            What the comparison found; None if the manifest cannot be relied on.

        Raises:
            NotFoundError: The snapshot holds no such study.
            UsageError: The slice holds nothing.
            OrchestratorError: There is no room, or restic fails.
        """
        box.files.mkdir(mode=0o700)
        if self.scope.is_all and not self.known.suppressed:
            box.require_room(chosen.bytes, chosen.files)
            return self._restore_all(engine, box, chosen)
        expectation = self._read_manifest(engine, box, chosen)
        if expectation is None:
            return None
        box.require_room(expectation.size_bytes, expectation.files)
        if self.scope.is_all:
            return self._bring_back(engine, box, chosen, exclude=expectation.left_out)
        include = expectation.paths()
        if not include:
            raise self._nothing(chosen)
        return self._bring_back(engine, box, chosen, include=include)

    def _restore_all(self, engine: Repository, box: Sandbox, chosen: Held) -> Findings | None:
        """Read the manifest while restic restores: neither needs the other."""
        failure: list[BaseException] = []

        def read() -> None:
            try:
                self._read_manifest(engine, box, chosen)
            except BaseException as error:  # noqa: BLE001 - raised below, in the drill's thread
                failure.append(error)

        reader = threading.Thread(target=read, name="drill-manifest")
        reader.start()
        try:
            return self._bring_back(engine, box, chosen, manifest=reader)
        finally:
            reader.join()
            if failure:
                raise failure[0]

    def _read_manifest(self, engine: Repository, box: Sandbox, chosen: Held) -> Expectation | None:
        known, result = self.known, self.result
        names = known.pseudonyms()
        wanted = Selection(
            store=result.store,
            repository_id=known.repository_id,
            run=chosen.run,
            scope=self.scope,
            suppressed=known.suppressed or frozenset(),
            study_key=names.study,
            path_key=lambda path: names.path(result.store, path),
            seed=known.seed,
            until=newest_day(chosen.at),
        )
        try:
            found = read_manifest(
                engine.dump(chosen.manifest, "/manifest.jsonl"),
                wanted,
                box.root / "expected",
                expected=chosen.files,
                check_stop=self.site.check_stop,
            )
        except (DamageError, NotFoundError) as error:
            self.look()
            result.checks.append(checks.manifest([error.message], None))
            return None
        result.checks.append(checks.manifest(found.problems, found))
        if found.newest_image is not None:
            result.rpo = dataclasses.replace(
                result.rpo, newest_image_on=found.newest_image.isoformat()
            )
        if not found.problems:
            self.proof.expectation = found
        return self.proof.expectation

    def _bring_back(
        self,
        engine: Repository,
        box: Sandbox,
        chosen: Held,
        *,
        include: list[bytes] | None = None,
        exclude: list[bytes] | None = None,
        manifest: threading.Thread | None = None,
    ) -> Findings | None:
        site, clock, watch = self.site, self.site.clock, self.watch
        files = len(include) if include is not None else chosen.files

        def take(path: bytes) -> None:
            if watch.first_file_s is None:
                watch.first_file_s = clock.monotonic()
            along.take(path)

        trouble: OrchestratorError | None = None
        # Until restic ends it writes, after that nobody may: what is touched later is read again.
        ends_ns: list[int] = []
        with ReadingAlong(
            box.files,
            expected=files,
            on_read=lambda done: site.progress.advance("files restored", done, files),
        ) as along:
            try:
                engine.restore(
                    chosen.id,
                    box.files,
                    include=include,
                    exclude=exclude,
                    on_file=take,
                    on_end=lambda: ends_ns.append(ended_ns(box.root)),
                )
            except (DamageError, NotFoundError) as error:
                self.look()
                trouble = error
        self.result.checks.append(
            checks.restored(trouble.message if trouble else None, damage=trouble is not None)
        )
        if manifest is not None:
            manifest.join()
        if self.proof.expectation is None:
            return None
        return compare(
            self.proof.expectation,
            Restored(
                box.files,
                along.seen,
                ends_ns[0] if ends_ns else 0,
                self.known.suppressed or frozenset(),
                self.known.pseudonyms().study,
            ),
            check_stop=site.check_stop,
            on_done=lambda done: site.progress.advance("files compared", done, files),
        )

    def _nothing(self, chosen: Held) -> OrchestratorError:
        store = self.result.store
        if self.scope.study is not None:
            return NotFoundError(
                f"store {store}: snapshot {chosen.id[:8]} holds no such study",
                hint="orchestrator study list",
            )
        return UsageError(
            f"store {store}: slice {self.scope} of snapshot {chosen.id[:8]} is empty: there are "
            "too few studies for so many slices",
            hint="use fewer slices",
        )
