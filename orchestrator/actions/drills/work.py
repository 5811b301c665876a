"""One drill on an open copy: choose, restore, verify, decode.

Knows the order of the steps and what each result becomes; records nothing and judges nothing. It
needs no catalog: what one would say comes in as `Known`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.drills import checks
from orchestrator.actions.drills import snapshots as held_snapshots
from orchestrator.actions.drills.bringing_back import BringingBack
from orchestrator.actions.drills.comparison import Findings
from orchestrator.actions.drills.expected import Expectation
from orchestrator.actions.drills.parts import Known, Proof, Watch
from orchestrator.actions.drills.pixels import decode
from orchestrator.drills.points import recovery_point
from orchestrator.drills.projection import ASSUMPTIONS, Sample, project
from orchestrator.drills.result import DrillResult, RecoveryTime
from orchestrator.drills.scope import Scope

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
        if self.before is not None:
            self.before(engine, box.root)
        chosen = self._choose(engine)
        if chosen is None:
            return
        result = self._result
        result.snapshot, result.snapshot_at = chosen.id, chosen.at
        engine = dataclasses.replace(engine, lock_fd=box.lock_fd)
        bringing = BringingBack(
            self._site, self._scope, self._known, result, self._watch, self.proof, look
        )
        findings = bringing.restore(engine, box, chosen)
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
