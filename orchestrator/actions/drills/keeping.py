"""Recording a drill: before it begins, how it ended, and what a crash left open.

Catalog, report and ledger, in this order; what a drill finds is not decided here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.actions.drills import checks as drill_checks
from orchestrator.actions.drills.parts import Proof
from orchestrator.actions.drills.report import write_report
from orchestrator.actions.drills.sandbox import remove_leftovers
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.run import Run, close_unfinished
from orchestrator.actions.site import Site
from orchestrator.catalog import drills, runs
from orchestrator.drills.document import to_document
from orchestrator.drills.result import DrillResult
from orchestrator.drills.verdict import judge
from orchestrator.errors import DamageError, OrchestratorError, StoppedError


class UnprovenError(OrchestratorError):
    """A drill did not verify: its run has failed, its result says why."""


@contextmanager
def recorded(current: Run, result: DrillResult) -> Iterator[Proof]:
    """Record that a drill begins, and how it ended, whatever happens in the block.

    Raises:
        UnprovenError: It did not verify.
        StoppedError: It was told to stop.
        OrchestratorError: It could not be recorded.
    """
    proof = Proof()
    with current.site.catalog.transaction() as session:
        drills.begin(session, result, run_id=current.id)
    try:
        yield proof
    except OrchestratorError as error:
        give_up(result, error)
        keep(current, result, proof)
        if isinstance(error, StoppedError):
            raise
        raise UnprovenError(result.reason) from error
    except BaseException as error:
        give_up(result, OrchestratorError(f"unexpected {type(error).__name__}"))
        keep(current, result, proof)
        raise
    result.verdict, result.reason, result.exit_code = judge(result)
    keep(current, result, proof)
    if result.verdict != "verified":
        raise UnprovenError(f"{result.verdict.replace('_', ' ')}: {result.reason}")


def give_up(result: DrillResult, error: OrchestratorError) -> None:
    """Say in a result that the drill did not come to its end.

    Damage is a finding, not a hindrance: the copy was there and could not be restored.
    """
    if isinstance(error, DamageError):
        result.checks.append(drill_checks.restored(error.message, damage=True, advice=error.hint))
        result.verdict, result.reason, result.exit_code = judge(result)
        return
    result.verdict = "could_not_run"
    result.reason = error.message[:1].upper() + error.message[1:] + "."
    result.exit_code = error.exit_code
    if error.hint is not None:
        result.remarks.append(f"What to do: {error.hint}")


def keep(current: Run, result: DrillResult, proof: Proof) -> None:
    """Write down how a drill ended: catalog, report, ledger, in this order.

    Raises:
        OrchestratorError: One of them refuses.
    """
    site = current.site
    result.ended_at = site.clock.now()
    current.metrics.update(
        drill=result.drill,
        verdict=result.verdict,
        files=result.files,
        bytes=result.bytes,
        copy=result.copy,
        snapshot=result.snapshot,
    )
    proven = [study for study in proof.studies if study not in proof.refuted]
    result.studies = len(proven)
    with site.catalog.transaction() as session:
        if not drills.finish(session, result, proven=proven, refuted=sorted(proof.refuted)):
            return  # another process took it for dead and has closed it
        if not result.kit_only:
            result.coverage = drills.coverage(session, result.store, result.copy, result.ended_at)
            drills.note_coverage(session, result)
    files = write_report(site, result, previews=proof.pixels.previews if proof.pixels else None)
    record(site, [_entry(result, files.sha256, _kept(site, result))])


def _kept(site: Site, result: DrillResult) -> str:
    """Keep a drill's result beside the ledger: a catalog may be lost, a proof must not be."""
    from orchestrator.actions.certificates.files import keep_evidence

    return keep_evidence(site, json.dumps(to_document(result), sort_keys=True).encode())


def _entry(result: DrillResult, report_sha256: str, result_sha256: str) -> Event:
    """Return what the ledger says of a drill; whole numbers only, and nothing of a patient."""
    return Event(
        "drill.done",
        {
            "drill": result.drill,
            "store": result.store,
            "copy": result.copy,
            "scope": result.scope,
            "snapshot": result.snapshot,
            "kit_only": result.kit_only,
            "verdict": result.verdict,
            "exit_code": result.exit_code,
            "rto_ms": _ms(result.rto.measured_s),
            "rpo_ms": _ms(result.rpo.measured_s),
            "files": result.files,
        },
        evidence={"report": report_sha256, "result": result_sha256},
    )


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def settle_killed(site: Site) -> int:
    """Close drills that a crash left open, and remove what they had restored.

    Returns:
        How many were closed.
    """
    close_unfinished(site)
    remove_leftovers(site)
    closed = 0
    with site.catalog.transaction() as session:
        for row in drills.unfinished(session):
            ended = runs.get(session, row.run_id) if row.run_id is not None else None
            if ended is not None and ended.ended_at is None:
                continue  # it is at work
            result = drills.result_of(row)
            result.verdict, result.exit_code = "could_not_run", StoppedError.exit_code
            result.reason = "The drill was interrupted: it never came to its end."
            result.sandbox = "What had been restored was removed by a later run."
            result.ended_at = site.clock.now()
            closed += drills.finish(session, result)
    return closed
