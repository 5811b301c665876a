"""One drill on an open copy: choose, restore, verify, decode.

Knows the order of the steps and what each result becomes; records nothing and judges nothing. It
needs no catalog: what one would say comes in as `Known`.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.drills import checks
from orchestrator.actions.drills import snapshots as held_snapshots
from orchestrator.actions.drills.comparison import Findings, Restored, compare, ended_ns
from orchestrator.actions.drills.expected import Expectation
from orchestrator.actions.drills.manifest import Selection, read_manifest
from orchestrator.actions.drills.parts import Known, Proof, Watch
from orchestrator.actions.drills.pixels import decode
from orchestrator.actions.drills.reading import ReadingAlong
from orchestrator.drills.points import newest_day, recovery_point
from orchestrator.drills.projection import ASSUMPTIONS, Sample, project
from orchestrator.drills.result import DrillResult, RecoveryTime
from orchestrator.drills.scope import Scope
from orchestrator.errors import DamageError, NotFoundError, OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.actions.drills.sandbox import Sandbox
    from orchestrator.actions.drills.snapshots import Held
    from orchestrator.actions.site import Site
    from orchestrator.engines.restic.repository import Repository

_CLOCK_LEEWAY_S = 60.0


class DrillWork:
    """The steps of one drill.

    Args:
        site: Clock, stop, progress; of its keyring and catalog nothing is used.
        scope: What to restore.
        known: What is known beforehand.
        result: Filled in as the drill goes on.
        watch: Started before the keys were fetched.
        proof: Likewise.
    """

    def __init__(
        self,
        site: Site,
        scope: Scope,
        known: Known,
        *,
        result: DrillResult,
        watch: Watch,
        proof: Proof,
    ) -> None:
        self._site = site
        self._scope = scope
        self._known = known
        self.result = self._result = result
        self._watch = watch
        self._now: datetime = result.as_of or result.started_at
        self._look: Callable[[], None] = lambda: None
        self.before: Callable[[Repository, Path], None] | None = None
        self.proof = proof

    def perform(
        self,
        engine: Repository,
        box: Sandbox,
        *,
        previews: bool,
        look: Callable[[], None],
    ) -> None:
        """Make the drill; the result has its checks, RTO and RPO afterwards.

        Args:
            engine: restic on the copy.
            box: Where to restore to.
            previews: Ask for pictures of what was restored.
            look: Raises if the copy is no longer there: damage is only what is still there.

        Raises:
            NotFoundError: The snapshot or study that was asked for is not there.
            UsageError: The slice holds nothing.
            DamageError: The repository is too damaged to say what it holds.
            OrchestratorError: The drill could not be made.
        """
        self._look = look
        if self.before is not None:
            self.before(engine, box.root)
        chosen = self._choose(engine)
        if chosen is None:
            return
        result = self._result
        result.snapshot, result.snapshot_at = chosen.id, chosen.at
        engine = dataclasses.replace(engine, lock_fd=box.lock_fd)
        findings = self._restore(engine, box, chosen)
        expectation = self.proof.expectation
        if expectation is None or findings is None:
            return
        self._watch.verified_s = self._site.clock.monotonic()
        result.files, result.bytes = findings.files, findings.size_bytes
        result.rto = _recovery_time(
            result.rto.target_s,
            self._watch,
            expectation,
            findings,
            is_all=self._scope.is_all,
        )
        result.checks += checks.compared(expectation, findings)
        if self._known.suppressed is not None:
            result.checks.append(checks.suppressed(len(self._known.suppressed), findings))
        self._decode(expectation, box, previews=previews)
        result.remarks += checks.remarks(expectation, self.proof.pixels)
        self.proof.refuted |= findings.failed_studies
        self.proof.studies = list(expectation.studies())

    def know_disposed(self, studies: frozenset[str]) -> None:
        """Take studies for disposed of that only the copy could name."""
        self._known = dataclasses.replace(self._known, suppressed=studies)

    def check_clock(self) -> None:
        """Make the RPO unknown if the wall clock was set while the drill ran."""
        result = self._result
        walked = (self._site.clock.now() - result.started_at).total_seconds()
        passed = self._site.clock.monotonic() - self._watch.started_s
        if abs(walked - passed) <= _CLOCK_LEEWAY_S:
            return
        result.rpo = dataclasses.replace(result.rpo, measured_s=None, met=None)
        result.checks = [check for check in result.checks if check.name != "snapshot age"]
        result.checks.insert(0, checks.snapshot_age(result.rpo, result.copy))
        result.remarks.append(
            "This machine's clock was set while the drill ran: no age of a snapshot can be told."
        )

    def _choose(self, engine: Repository) -> Held | None:
        known, result = self._known, self._result
        held = known.held if known.held is not None else self._ask(engine)
        past = [one for one in held if result.as_of is None or one.at <= self._now]
        newest = max((one.at for one in past if one.is_there), default=None)
        # What rotation removed since counts for the gaps, never for the age.
        instants = [one.at for one in past if newest is not None and one.at <= newest]
        result.rpo = recovery_point(
            instants, now=self._now, target=known.rpo, judge_gaps=known.judge_gaps
        )
        result.checks.append(checks.snapshot_age(result.rpo, result.copy))
        chosen = held_snapshots.choose(
            held,
            now=self._now,
            snapshot=known.snapshot,
            random_within=known.random_within,
            seed=known.seed,
        )
        if chosen is None:
            result.checks.append(checks.nothing_held(earlier=result.as_of is not None))
        return chosen

    def _ask(self, engine: Repository) -> list[Held]:
        known = self._known
        return held_snapshots.in_repository(
            engine, self._result.store, recorded=known.recorded, incomplete=known.incomplete
        )

    def _restore(self, engine: Repository, box: Sandbox, chosen: Held) -> Findings | None:
        box.files.mkdir(mode=0o700)
        if self._scope.is_all and not self._known.suppressed:
            box.require_room(chosen.bytes, chosen.files)
            return self._restore_all(engine, box, chosen)
        expectation = self._read_manifest(engine, box, chosen)
        if expectation is None:
            return None
        box.require_room(expectation.size_bytes, expectation.files)
        if self._scope.is_all:
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
        known, result = self._known, self._result
        names = known.pseudonyms()
        wanted = Selection(
            store=result.store,
            repository_id=known.repository_id,
            run=chosen.run,
            scope=self._scope,
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
                check_stop=self._site.check_stop,
            )
        except (DamageError, NotFoundError) as error:
            self._look()
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
        site, clock, watch = self._site, self._site.clock, self._watch
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
                self._look()
                trouble = error
        self._result.checks.append(
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
                self._known.suppressed or frozenset(),
                self._known.pseudonyms().study,
            ),
            check_stop=site.check_stop,
            on_done=lambda done: site.progress.advance("files compared", done, files),
        )

    def _nothing(self, chosen: Held) -> OrchestratorError:
        store = self._result.store
        if self._scope.study is not None:
            return NotFoundError(
                f"store {store}: snapshot {chosen.id[:8]} holds no such study",
                hint="orchestrator study list",
            )
        return UsageError(
            f"store {store}: slice {self._scope} of snapshot {chosen.id[:8]} is empty: there are "
            "too few studies for so many slices",
            hint="use fewer slices",
        )

    def _decode(self, expectation: Expectation, box: Sandbox, *, previews: bool) -> None:
        if not expectation.series:
            return
        self._site.progress.step("decode")
        found = self.proof.pixels = decode(
            expectation,
            box.files,
            previews=previews,
            stop=self._site.stop,
            on_done=lambda done: self._site.progress.advance(
                "series decoded", done, expectation.series
            ),
        )
        check = checks.pixels(found, expectation.series)
        if check is not None:
            self._result.checks.append(check)
        self.proof.refuted |= found.failed_studies


def _recovery_time(
    target_s: float, watch: Watch, expectation: Expectation, findings: Findings, *, is_all: bool
) -> RecoveryTime:
    """Return what was measured and, for a part of the store, what the whole would take."""
    if watch.verified_s is None:
        return RecoveryTime(target_s)
    total_s = watch.verified_s - watch.started_s
    if is_all:
        return RecoveryTime(target_s, total_s, total_s, met=total_s <= target_s)
    first_s = watch.first_file_s if watch.first_file_s is not None else watch.verified_s
    whole = project(
        Sample(max(findings.files, 1), findings.size_bytes, total_s, first_s - watch.started_s),
        files=expectation.whole.files,
        size_bytes=expectation.whole.bytes,
    )
    return RecoveryTime(
        target_s,
        total_s,
        whole.expected_s,
        whole.low_s,
        whole.high_s,
        ASSUMPTIONS,
        met=whole.high_s <= target_s,
    )
