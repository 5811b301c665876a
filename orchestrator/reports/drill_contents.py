"""A drill in words, before it gets a shape.

Pure. Nothing here identifies a patient unless previews are given; then the report says that it
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from orchestrator.drills.result import Check, Coverage, DrillResult, PastDrill
from orchestrator.reports import words
from orchestrator.reports.drill_chart import Point
from orchestrator.reports.drill_values import (
    Bar,
    CheckLine,
    Contents,
    Finding,
    Line,
    Preview,
    Report,
    Signature,
    Tile,
)
from orchestrator.reports.drill_words import (
    ADVICE,
    AGAIN,
    ASK,
    CHECK_STATES,
    DAMAGE_EXIT,
    DAMAGE_HEADLINE,
    HEADLINES,
    NO_PHI_NOTE,
    PHI_NOTE,
    ROLES,
    provisions_of,
    rpo_sentences,
    rto_sentences,
    scope_in_words,
)

MOST_FINDINGS = 12
MOST_REMARKS = 40
MOST_CHECKS = 200
MOST_PAST = 60


def contents_of(report: Report) -> Contents:
    """Put a report into words."""
    result, zone = report.result, report.zone
    past = _past(report)
    findings = _findings(result)
    return Contents(
        verdict=result.verdict,
        headline=_headline(result),
        reason=result.reason,
        site=result.site,
        subject=f"Restore drill of {result.store} from copy {result.copy}",
        when=words.instant(result.started_at, zone),
        phi=bool(report.previews),
        privacy=PHI_NOTE if report.previews else NO_PHI_NOTE,
        tiles=_tiles(result),
        findings=findings[:MOST_FINDINGS],
        findings_note=_more(len(findings) - MOST_FINDINGS, "finding", "the checks below"),
        facts_title="What was restored" if result.files else "What was to be restored",
        facts=_facts(result, zone),
        rto=rto_sentences(result),
        assumptions=list(result.rto.assumptions),
        rpo=rpo_sentences(result),
        rto_points=[Point(one.started_at, one.rto_s, one.verdict) for one in past],
        rpo_points=[Point(one.started_at, one.rpo_s, one.verdict) for one in past],
        rto_target_s=result.rto.target_s,
        rpo_target_s=result.rpo.target_s,
        trend_note=_trend_note(past),
        coverage=_coverage(result.coverage),
        coverage_note=_coverage_note(result.coverage),
        checks=[_check(one) for one in result.checks[:MOST_CHECKS]],
        checks_note=_more(len(result.checks) - MOST_CHECKS, "check"),
        remarks=_remarks(result),
        sandbox=result.sandbox or "Nothing is known of what became of the restored files.",
        provisions=[list(one) for one in provisions_of(result)],
        signatures=[
            Signature(one.actor_name, one.actor_title, words.instant(one.at, zone), one.note)
            for one in report.signs
        ],
        small=_small(result),
        captions=[_caption(one) for one in report.previews],
        previews_note=_previews_note(report),
    )


def _headline(result: DrillResult) -> str:
    if result.verdict == "not_verified" and result.exit_code == DAMAGE_EXIT:
        return DAMAGE_HEADLINE
    return HEADLINES[result.verdict]


def _past(report: Report) -> list[PastDrill]:
    """Return the trend up to this drill, which is its last point."""
    result = report.result
    own = PastDrill(
        result.drill,
        result.started_at,
        result.copy,
        result.scope,
        result.verdict,
        result.rto.projected_s if result.rto.projected_s is not None else result.rto.measured_s,
        result.rpo.measured_s,
    )
    earlier = [
        one for one in report.past if one.drill != own.drill and one.started_at <= own.started_at
    ]
    return [*earlier, own][-MOST_PAST:]


def _tiles(result: DrillResult) -> list[Tile]:
    rto, rpo = result.rto, result.rpo
    shown_s = rto.measured_s if result.scope == "all" else rto.projected_s
    whole = "" if result.scope == "all" or shown_s is None else "whole store, projected; "
    tiles = [
        Tile(
            "Time to restore (RTO)",
            "not measured" if shown_s is None else words.duration(shown_s),
            f"{whole}allowed: {words.duration(rto.target_s)}",
            _state(rto.met),
            judged=True,
        ),
        Tile(
            "Age of the backup (RPO)",
            "unknown" if rpo.measured_s is None else words.duration(rpo.measured_s),
            f"allowed: {words.duration(rpo.target_s)}",
            _state(rpo.met),
            judged=True,
        ),
        Tile(
            "Restored and found good",
            words.count(result.files, "file"),
            f"{words.size(result.bytes)}, {words.count(result.studies, 'study', 'studies')}",
            "good" if result.files and result.verdict == "verified" else "open",
        ),
    ]
    if result.coverage is not None:
        share = result.coverage.within_90_days
        tiles.append(
            Tile(
                "Proven in the last 90 days",
                words.percent(share),
                f"of {words.count(result.coverage.studies, 'study', 'studies')} in the store",
                "good" if share >= 1 else "open",
            )
        )
    return tiles


def _state(met: bool | None) -> str:
    if met is None:
        return "open"
    return "good" if met else "bad"


def _findings(result: DrillResult) -> list[Finding]:
    """Return what did not pass: what failed first, then what was not checked, then the targets."""
    if result.verdict == "verified":
        return []
    bad = [one for one in result.checks if one.state == "failed"]
    missing = [one for one in result.checks if one.state == "skipped"]
    found = [
        Finding(one.state, CHECK_STATES[one.state], one.name, one.detail, one.advice or ASK)
        for one in [*bad, *missing]
    ]
    again, faster, sooner = AGAIN
    if result.verdict == "could_not_run":
        advice = next(iter(_advised(result.remarks)), again)
        return [Finding("skipped", "not run", "The drill", result.reason, advice), *found]
    for name, met, sentences, advice in (
        ("Time to restore (RTO)", result.rto.met, rto_sentences(result), faster),
        ("Age of the backup (RPO)", result.rpo.met, rpo_sentences(result)[:3], sooner),
    ):
        if met is False:
            found.append(Finding("failed", "missed", name, " ".join(sentences), advice))
    return found or [Finding("skipped", "not proven", "The drill", result.reason, again)]


def _advised(remarks: Sequence[str]) -> list[str]:
    """Return the remarks that say what to do, without their first words."""
    return [one.removeprefix(ADVICE) for one in remarks if one.startswith(ADVICE)]


def _facts(result: DrillResult, zone: tzinfo) -> list[Line]:
    lines = [
        Line("Practice", result.site),
        Line("Images of", result.store),
        Line("Restored from", f"{result.copy}: {ROLES.get(result.role, result.role)}"),
    ]
    if result.medium:
        lines.append(Line("Medium", result.medium))
    taken = "unknown" if result.snapshot_at is None else words.instant(result.snapshot_at, zone)
    lines.append(Line("Backup of", taken))
    if result.as_of is not None:
        lines.append(Line("Copy as it was on", words.instant(result.as_of, zone)))
    lines += [
        Line("Extent", scope_in_words(result.scope)),
        Line(
            "Keys",
            "from the recovery kit alone, as after the loss of this computer"
            if result.kit_only
            else "from the keyring of this computer",
        ),
        Line("Started", words.instant(result.started_at, zone)),
        Line("Ended", _ended(result, zone)),
        Line("Run by", _who(result)),
    ]
    if result.traffic.requests is not None and result.traffic.bytes is not None:
        asked = words.count(result.traffic.requests, "request")
        lines.append(Line("Fetched", f"{words.size(result.traffic.bytes)} in {asked}"))
    return lines


def _ended(result: DrillResult, zone: tzinfo) -> str:
    if result.ended_at is None:
        return "it did not come to an end"
    took_s = (result.ended_at - result.started_at).total_seconds()
    return f"{words.instant(result.ended_at, zone)}, after {words.duration(took_s)}"


def _who(result: DrillResult) -> str:
    if result.actor == "system":
        return "nobody by name: a job, or a command without --as"
    named = result.actor_name or result.actor
    return f"{named}, {result.actor_title}" if result.actor_title else named


def _trend_note(past: Sequence[PastDrill]) -> str:
    if len(past) == 1:
        return "This is the first drill recorded for this copy."
    good = sum(one.verdict == "verified" for one in past)
    return f"The last {len(past)} drills of this copy: {good} verified, {len(past) - good} not."


def _coverage(coverage: Coverage | None) -> list[Bar]:
    if coverage is None:
        return []
    return [
        Bar(f"last {days} days", max(0.0, min(1.0, share)), words.percent(share))
        for days, share in (
            (30, coverage.within_30_days),
            (90, coverage.within_90_days),
            (365, coverage.within_365_days),
        )
    ]


def _coverage_note(coverage: Coverage | None) -> str:
    if coverage is None:
        return "Not known: a drill from the recovery kit alone does not see the earlier ones."
    studies = words.count(coverage.studies, "study", "studies")
    return f"Share of the {studies} in the store that were restored from this copy and found good."


def _check(check: Check) -> CheckLine:
    return CheckLine(check.state, CHECK_STATES[check.state], check.name, check.detail)


def _remarks(result: DrillResult) -> list[str]:
    told = set(_advised(result.remarks)) if result.verdict == "could_not_run" else set()
    remarks = [one for one in result.remarks if one.removeprefix(ADVICE) not in told]
    more = _more(len(remarks) - MOST_REMARKS, "remark")
    return [*remarks[:MOST_REMARKS], *([more] if more else [])]


def _more(number: int, noun: str, where: str = "`orchestrator drill show ID`") -> str:
    return f"And {words.count(number, noun)} more: see {where}." * (number > 0)


def _caption(preview: Preview) -> str:
    frames = "" if preview.frames <= 1 else f", {words.count(preview.frames, 'frame')}"
    return f"{preview.modality or 'image'}{frames} · {preview.study}"


def _previews_note(report: Report) -> str:
    if not report.hidden_previews:
        return ""
    images = words.count(report.hidden_previews, "image is", "images are")
    return f"{images} not shown, because a name may be written into the picture."


def _small(result: DrillResult) -> list[Line]:
    return [
        Line("Drill", result.drill),
        Line("Snapshot", result.snapshot or "none"),
        Line("Exit code", str(result.exit_code)),
        Line(
            "Made with",
            ", ".join(f"{name} {version}" for name, version in sorted(result.versions.items()))
            or "unknown",
        ),
    ]
