"""What the JSON documents hold: results of actions as plain values, by the agreed names."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import timedelta

    from orchestrator.actions.backup import StoreBackup
    from orchestrator.actions.drills.status import CopyDrills
    from orchestrator.actions.missed import Missed
    from orchestrator.actions.objectives import Objective
    from orchestrator.actions.replicas import CopyResult
    from orchestrator.actions.replicate import StoreReplication
    from orchestrator.actions.status import SiteStatus, StoreStatus
    from orchestrator.catalog.sanitization_tables import Sanitization
    from orchestrator.errors import OrchestratorError

WORST = ("succeeded", "partial", "interrupted", "refused", "failed")


def outcome_of(outcomes: list[str]) -> str:
    """Return the outcome of several runs: `failed` only if none of them did anything."""
    kinds = set(outcomes)
    if len(kinds) == 1:
        return outcomes[0]
    return "succeeded" if not kinds else "partial"


def copy_result(result: CopyResult) -> dict[str, Any]:
    """Return what a run did for one copy."""
    return {
        "copy": result.copy,
        "role": result.role,
        "state": result.state,
        "files_sent": result.files_sent,
        "bytes_sent": result.bytes_sent,
        "error": result.error.message if result.error is not None else None,
        "detail": result.detail,
    }


def store_backup(result: StoreBackup) -> dict[str, Any]:
    """Return what the backup of one store came to."""
    return {
        "store": result.store,
        "run": result.run,
        "outcome": result.outcome,
        "snapshot": result.snapshot,
        "files": result.files,
        "files_new": result.files_new,
        "files_changed": result.files_changed,
        "files_gone": result.files_gone,
        "bytes_added": result.bytes_added,
        "copies": [copy_result(copy) for copy in result.copies],
        "problems": [
            {"file": problem.file, "state": problem.state, "note": problem.note}
            for problem in result.problems
        ],
        "problem_count": result.problem_count,
        "error": _error(result.error),
    }


def store_replication(result: StoreReplication) -> dict[str, Any]:
    """Return what replication came to for one store."""
    return {
        "store": result.store,
        "run": result.run,
        "outcome": result.outcome,
        "copies": [copy_result(copy) for copy in result.copies],
        "error": _error(result.error),
    }


def site_status(found: SiteStatus) -> dict[str, Any]:
    """Return where a site stands."""
    return {
        "stores": [store_status(one) for one in found.stores],
        "missed": [missed(one) for one in found.missed],
        "warnings": found.warnings,
        "disposals": [asdict(one) for one in found.disposals],
    }


def missed(one: Missed) -> dict[str, Any]:
    """Return what was due and did not happen."""
    return {
        "job": one.job,
        "action": one.action,
        "slot": one.slot,
        "due_at": one.due_at,
        "kind": one.kind,
        "noticed_at": one.noticed_at,
        "made_up": one.made_up,
    }


def copy_drills(one: CopyDrills) -> dict[str, Any]:
    """Return what drills have proven on one copy."""
    return {
        "copy": one.copy,
        "drill": one.last,
        "at": one.last_at,
        "verdict": one.last_verdict,
        "coverage": asdict(one.coverage),
    }


def store_status(one: StoreStatus) -> dict[str, Any]:
    """Return where one store stands."""
    return {
        "store": one.store,
        "verdict": one.verdict,
        "reasons": one.reasons,
        "files": one.files,
        "bytes": one.size_bytes,
        "copies": [
            {
                "copy": judged.facts.copy,
                "role": judged.facts.role,
                "medium": judged.facts.medium,
                "state": judged.state,
                "counts": judged.counts,
                "newest_snapshot": judged.facts.newest_snapshot,
                "newest_at": judged.facts.newest_at,
                "verified_at": judged.facts.verified_at,
                "protected_until": judged.facts.protected_until,
                "observed_at": judged.facts.observed_at,
                "due_at": judged.facts.due_at,
                "reason": judged.reason,
            }
            for judged in one.copies
        ],
        "rpo": _objective(one.rpo),
        "rto": _objective(one.rto)
        | {
            "basis": one.rto.basis,
            "projected_s": _seconds(one.rto.projected),
            "projected_high_s": _seconds(one.rto.projected_high),
            "at": one.rto.at,
        },
        "drills": [copy_drills(copy) for copy in one.drills],
        "last_run": None
        if one.last_run is None
        else {
            "run": one.last_run.id,
            "outcome": one.last_run.outcome,
            "started_at": one.last_run.started_at,
            "ended_at": one.last_run.ended_at,
        },
    }


def _objective(objective: Objective) -> dict[str, Any]:
    return {
        "target_s": objective.target.total_seconds(),
        "measured_s": _seconds(objective.measured),
        "met": objective.met,
    }


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else round(length.total_seconds(), 3)


def _error(error: OrchestratorError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"error": type(error).__name__, "message": error.message, "exit_code": error.exit_code}


def sanitization(row: Sanitization) -> dict[str, Any]:
    """Return a sanitization as JSON values."""
    return {
        "sanitization": row.id,
        "state": row.state,
        "method": row.method,
        "technique": row.technique,
        "verification": row.verification,
        "validation": row.validation,
        "basis": row.basis,
        "device": row.device,
        "kind": row.kind,
        "serial": row.serial,
        "manufacturer": row.vendor,
        "model": row.model,
        "size_bytes": row.size_bytes,
        "medium": row.medium,
        "property_number": row.property_number,
        "source": row.media_source,
        "destination": row.destination,
        "required": row.required,
        "conditions": row.conditions,
        "proposed_by": row.proposed_by,
        "proposed_at": row.proposed_at,
        "decided_by": row.decided_by,
        "decided_at": row.decided_at,
        "performed_by": row.performer or row.performed_by,
        "vendor": row.company,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "tool": row.tool,
        "tool_version": row.tool_version,
        "reasons": row.reasons,
        "flags": row.flags,
        "measured": row.measured,
        "reject_conditions": row.measured.get("reject_conditions") or [],
        "evidence": row.evidence,
        "validated_by": row.validated_by,
        "validated_at": row.validated_at,
        "validation_reasons": row.validation_reasons,
        "certificate": row.certificate,
        "ledger": row.entries,
    }
