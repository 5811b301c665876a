"""What the JSON documents about disposals hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.actions.disposal.listing import Batch
    from orchestrator.actions.disposal.story import Story


def batch(one: Batch) -> dict[str, Any]:
    """Return a disposal as it stands."""
    row = one.row
    return {
        "disposal": row.id,
        "state": row.state,
        "paused": row.paused,
        "studies": one.studies,
        "withheld": dict(one.withheld),
        "stores": [
            {
                "store": share.store,
                "studies": share.studies,
                "withheld": share.withheld,
                "files": share.files,
                "bytes": share.size_bytes,
            }
            for share in one.stores
        ],
        "schedules": row.plan.get("schedules", {}),
        "plan_sha256": row.plan_digest,
        "notices": one.notices,
        "notice": row.notice,
        "proposed_by": row.proposed_by,
        "proposed_at": row.proposed_at,
        "decided_by": row.decided_by,
        "decided_at": row.decided_at,
        "decision_reason": row.decision_reason,
        "quarantine_until": row.quarantine_until,
        "executable_at": one.executable_at,
        "earliest_completion": one.earliest_completion,
        "executed_by": row.executed_by,
        "executed_at": row.executed_at,
        "holds_checked_at": row.holds_checked_at,
        "completed_at": row.completed_at,
        "certificate": row.certificate,
        "ledger": row.entries,
        "copies": [
            {
                "store": copy.store,
                "copy": copy.copy,
                "role": copy.role,
                "medium": copy.medium,
                "place": copy.place,
                "label": copy.label,
                "state": copy.state,
                "residual_until": copy.residual_until,
                "expected": copy.expected,
                "proved_at": copy.proved_at,
                "detail": copy.detail,
                "next": copy.next,
            }
            for copy in one.copies
        ],
        "on_hold": {"studies": one.on_hold.studies, "holds": list(one.on_hold.holds)},
        "next": list(one.next),
        "hints": list(one.hints),
    }


def story_of(told: Story) -> dict[str, Any]:
    """Return what became of one study."""
    study = told.study
    return {
        "study": study.study_key,
        "store": study.store,
        "state": study.state,
        "withheld": study.withheld,
        "due": study.due,
        "schedule": study.schedule_id,
        "version": study.schedule_version,
        "rule": study.rule,
        "citation": study.citation,
        "files": study.files,
        "bytes": study.size_bytes,
        "content_digest": study.content_digest,
        "story": [
            {"at": one.at, "what": one.what, "who": one.who, "entry": one.entry}
            for one in told.chapters
        ],
    }
