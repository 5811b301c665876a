"""What the JSON documents of ``retention`` hold, and the words for people that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.actions.retention.adopt import Adoption
    from orchestrator.actions.retention.listing import Listing, ScheduleFacts
    from orchestrator.actions.retention.overdue import Waiting
    from orchestrator.retention.schedule import Minor, Rule


def listing(found: Listing) -> dict[str, Any]:
    """Return every schedule, and what is not covered by any."""
    return {
        "schedules": [schedule(one) for one in found.schedules],
        "jurisdictions": [
            {
                "jurisdiction": one.jurisdiction,
                "stores": list(one.stores),
                "adopted": list(one.adopted),
                "offered": list(one.offered),
            }
            for one in found.jurisdictions
        ],
        "uncovered": found.uncovered,
        "majority": {
            "adopted_version": found.majority.version,
            "adopted_by": found.majority.adopted_by,
            "adopted_at": found.majority.adopted_at,
            "version": found.majority.offered,
            "fault": found.majority.fault,
        },
        "templates": list(found.templates),
        "files_with_faults": [{"id": one.id, "faults": list(one.faults)} for one in found.faulty],
        "changed": found.changes,
    }


def schedule(one: ScheduleFacts) -> dict[str, Any]:
    """Return one schedule with its rules."""
    row, what = one.adopted, one.schedule
    return {
        "id": what.id,
        "version": one.offered,
        "kind": what.kind,
        "jurisdiction": what.jurisdiction,
        "title": what.title,
        "origin": one.origin,
        "adopted": None
        if row is None
        else {
            "version": row.version,
            "digest": row.digest,
            "image_clock": row.image_clock,
            "by": row.adopted_by,
            "at": row.adopted_at,
        },
        "newer_version": one.newer,
        "fault": one.fault,
        "rules": [rule(item, one.standing(item)) for item in what.rules],
    }


def rule(one: Rule, standing: str | None) -> dict[str, Any]:
    """Return one rule.

    Args:
        one: The rule.
        standing: Why it lets nothing go; None if it may.
    """
    from orchestrator.retention.explain import in_words

    return {
        "rule": one.id,
        "record_class": one.record_class,
        "trigger": one.trigger,
        "adult": in_words(one.adult),
        "minor": minor_words(one.minor),
        "images": one.images,
        "citation": str(one.citation),
        "source": one.citation.source,
        "read_on": one.citation.read_on,
        "confidence": one.confidence,
        "reviewer": one.reviewer,
        "reviewed_on": one.reviewed_on,
        "review_by": one.review_by,
        "lets_nothing_go": standing,
        "conflicts": list(one.conflicts),
        "notices": [{"form": item.form, "text": item.text} for item in one.notices],
        "note": one.note,
    }


def minor_words(minor: Minor) -> str | None:
    """Return in words how a rule treats minors; None for a class that has none."""
    from orchestrator.retention.explain import in_words

    if minor.form == "not_applicable":
        return None
    if minor.form == "none_stated":
        return "the text does not say"
    if minor.form == "no_disposal_before_age":
        return f"nobody's before the patient is {minor.age}"
    if minor.form == "until_age":
        return f"at least until the patient is {minor.age}"
    at = f" at {minor.majority}" if minor.majority is not None else ""
    plus = in_words(minor.plus) if minor.plus is not None else "0 years"
    return f"at least until {plus} after coming of age{at}"


def adoption(done: Adoption) -> dict[str, Any]:
    """Return what adopting came to."""
    from orchestrator.actions.retention.adopt import NOT_LEGAL_ADVICE

    row = done.row
    return {
        "schedule": row.schedule_id,
        "version": row.version,
        "digest": row.digest,
        "kind": row.kind,
        "jurisdiction": row.jurisdiction,
        "image_clock": row.image_clock,
        "adopted_by": row.adopted_by,
        "adopted_at": row.adopted_at,
        "changed": done.is_new,
        "replaced": done.replaced,
        "majority": done.with_majority,
        "reviewers": done.reviewers,
        "low_confidence": done.low_confidence,
        "not_reviewed": done.not_reviewed,
        "review_overdue": done.overdue,
        "notice": NOT_LEGAL_ADVICE,
    }


def waiting(found: list[Waiting]) -> dict[str, Any]:
    """Return what has waited too long."""
    return {
        "waiting": [
            {
                "kind": one.kind,
                "subject": one.subject,
                "since": one.since,
                "overdue": one.is_overdue,
                "words": one.words,
                "hint": one.hint,
            }
            for one in found
        ]
    }
