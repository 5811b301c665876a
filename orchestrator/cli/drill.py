"""``drill``: restore drills, their trend, their reports."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import documents, render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.options import Invocation, pass_invocation
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from datetime import timedelta

    from orchestrator.actions.drills.listing import DrillFacts, Trend
    from orchestrator.catalog.drill_tables import Drill
    from orchestrator.drills.result import DrillResult


@click.group()
def drill() -> None:
    """Prove that copies can be restored, and show what was proven."""


@drill.command("run")
@click.argument("store")
@click.option("--copy", help="From this copy.  [default: the primary]")
@click.option("--scope", default="all", metavar="all|N/T|study:KEY", help="What to restore.")
@click.option("--snapshot", metavar="ID", help="Data snapshot.  [default: the newest complete]")
@click.option("--random-within", metavar="PERIOD", help="Any snapshot of this period, by lot: 90d.")
@click.option("--as-of", metavar="TIME", help="As the copy was then: a date or an instant.")
@click.option("--kit", type=click.Path(path_type=Path), help="With nothing but this recovery kit.")
@click.option("--max-requests", type=click.IntRange(min=1), help="Stop after so many requests.")
@click.option("--max-bytes", type=click.IntRange(min=1), help="Stop after so many bytes fetched.")
@click.option("--previews", is_flag=True, help="Pictures of restored images in the report: PHI.")
@pass_invocation
def run_drill(invocation: Invocation, /, store: str, **options: Any) -> None:
    """Restore STORE or a part of it into a sandbox, check every byte, and measure the time.

    The sandbox is emptied afterwards. Exit status: 0 verified, 1 not verified, 4 damage found;
    a drill that could not run exits as its cause.
    """
    from orchestrator.actions.as_of import instant
    from orchestrator.actions.drills import listing
    from orchestrator.actions.drills.drill import drill as make
    from orchestrator.actions.drills.wish import Wish

    within = _period(options.pop("random_within"))
    site = invocation.open_site()
    site.store_config(store)
    text = options.pop("as_of")
    at = instant(text, site.config.timezone, now=site.clock.now()) if text is not None else None
    result = make(site, Wish(store, random_within=within, as_of=at, **options))
    facts = listing.made(site, result)
    if invocation.as_json:
        render.show_json(_document(facts))
    else:
        _show(facts)
    if result.exit_code:
        raise ExitWith(result.exit_code)


@drill.command("list")
@click.argument("store", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@pass_invocation
def list_drills(invocation: Invocation, store: str | None, limit: int) -> None:
    """Show drills of STORE (default: all), newest first, what they prove and what was missed."""
    from orchestrator.actions.drills.listing import trend

    site = invocation.open_site()
    found = trend(site, site.stores([store] if store else None), limit=limit)
    if invocation.as_json:
        render.show_json(
            {
                "drills": [_row(one) for one in found.drills],
                "coverage": [
                    {"store": name, **documents.copy_drills(copy)}
                    for name, copies in found.coverage.items()
                    for copy in copies
                ],
                "missed": [documents.missed(one) for one in found.missed],
            }
        )
        return
    _show_trend(found)


@drill.command("show")
@click.argument("drill_id", metavar="ID")
@pass_invocation
def show_drill(invocation: Invocation, drill_id: str) -> None:
    """Show drill ID, or the only one that begins so, with every check."""
    from orchestrator.actions.drills.listing import show

    facts = show(invocation.open_site(), drill_id)
    if invocation.as_json:
        render.show_json(_document(facts))
    else:
        _show(facts)


@drill.command("report")
@click.argument("drill_id", metavar="ID")
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path),
    help="A new file: .pdf for paper, .html for a screen.",
)
@pass_invocation
def copy_report(invocation: Invocation, drill_id: str, to: Path) -> None:
    """Copy the report of drill ID to a file. With pictures of images in it, it is PHI."""
    from orchestrator.actions.drills.listing import export_report

    written = export_report(invocation.open_site(), drill_id, to)
    if invocation.as_json:
        render.show_json({"report": written})
    else:
        render.say(str(written))


@drill.command("sign")
@click.argument("drill_id", metavar="ID")
@click.option("--note", required=True, help="Corrective action, or what was seen; no patient.")
@pass_invocation
def sign_drill(invocation: Invocation, drill_id: str, note: str) -> None:
    """Sign the report of drill ID as management, with a note; takes a person: --as ACTOR."""
    from orchestrator.actions.drills.listing import sign

    facts = sign(invocation.open_site(), drill_id, note)
    if invocation.as_json:
        render.show_json(_document(facts))
        return
    last = facts.signs[-1]
    render.say(f"drill {facts.result.drill}: signed by {last.actor_name}, {last.actor_title}")
    render.say(f"  report: {facts.html}")


def _document(facts: DrillFacts) -> dict[str, Any]:
    from orchestrator.drills.document import to_document

    return to_document(facts.result) | {
        "ended": facts.has_ended,
        "report": facts.html,
        "report_pdf": facts.pdf,
        "signs": [asdict(one) for one in facts.signs],
    }


def _row(one: Drill) -> dict[str, Any]:
    return {
        "drill": one.id,
        "store": one.store,
        "copy": one.copy_,
        "role": one.role,
        "medium": one.medium,
        "scope": one.scope,
        "snapshot": one.snapshot,
        "as_of": one.as_of,
        "kit_only": one.kit_only,
        "actor": one.actor,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "verdict": one.verdict,
        "exit_code": one.exit_code,
        "rto": {"measured_s": one.rto_s, "projected_s": one.rto_projected_s},
        "rpo": {"measured_s": one.rpo_s},
        "files": one.files,
        "bytes": one.size_bytes,
        "report": one.report,
    }


def _show(facts: DrillFacts) -> None:
    result = facts.result
    verdict = result.verdict if facts.has_ended else "no end yet"
    render.say(f"drill {result.drill}: {render.colour(verdict)}")
    if result.reason:
        render.say(f"  {result.reason}")
    snapshot = "no snapshot"
    if result.snapshot is not None:
        snapshot = f"snapshot {result.snapshot[:8]} of {render.cell(result.snapshot_at)}"
    render.say(f"  store {result.store}, copy {result.copy}, scope {result.scope}, {snapshot}")
    render.say(
        f"  files verified: {result.files}, {render.size(result.bytes)}; "
        f"studies verified: {result.studies}"
    )
    if result.checks:
        rows = [[one.name, one.state, one.detail] for one in result.checks]
        render.table(["check", "state", "detail"], rows)
    for one in result.checks:
        if one.advice:
            render.say(f"  {one.name}: {one.advice}")
    _show_objectives(result)
    for remark in [*result.remarks, result.sandbox]:
        if remark:
            render.say(f"  {remark}")
    for sign in facts.signs:
        render.say(f"  signed by {sign.actor_name}, {render.cell(sign.at)}: {sign.note}")
    if facts.html is not None:
        render.say(f"  report: {facts.html}")


def _show_objectives(result: DrillResult) -> None:
    met = {True: "met", False: "not_met", None: "unknown"}
    rto, rpo = result.rto, result.rpo
    projected = ""
    if result.scope != "all" and rto.projected_s is not None:
        projected = (
            f", whole store projected {_time(rto.projected_s)}, {_time(rto.projected_low_s)} to "
            f"{_time(rto.projected_high_s)}"
        )
    render.say(
        f"  RTO: target {_time(rto.target_s)}, measured {_time(rto.measured_s)}{projected}: "
        f"{render.colour(met[rto.met])}"
    )
    gap = f"largest gap in {rpo.period_days} days {_time(rpo.largest_gap_s)}"
    if rpo.measured_s is not None and rpo.largest_gap_s is None:
        gap = f"no two snapshots to tell a gap in {rpo.period_days} days"
    render.say(
        f"  RPO: target {_time(rpo.target_s)}, newest snapshot {_time(rpo.measured_s)} old, "
        f"{gap}: {render.colour(met[rpo.met])}"
    )


def _show_trend(found: Trend) -> None:
    render.table(
        ["drill", "store", "copy", "scope", "verdict", "RTO", "RPO", "files"],
        [
            [
                one.id,
                one.store,
                one.copy_ + (" (kit)" if one.kit_only else ""),
                one.scope,
                one.verdict or "no end yet",
                _time(one.rto_projected_s if one.rto_s is not None else None),
                _time(one.rpo_s),
                one.files,
            ]
            for one in found.drills
        ],
    )
    render.table(
        ["store", "copy", "studies", "proven in 30 days", "90 days", "365 days", "last drill"],
        [
            [
                store,
                copy.copy,
                copy.coverage.studies,
                render.share(copy.coverage.within_30_days),
                render.share(copy.coverage.within_90_days),
                render.share(copy.coverage.within_365_days),
                copy.last_at,
            ]
            for store, copies in found.coverage.items()
            for copy in copies
        ],
    )
    for one in found.missed:
        made_up = "; made up for since" if one.made_up else ""
        render.say(
            f"  missed: {one.job}, due {render.cell(one.due_at)}: "
            f"{one.kind.replace('_', ' ')}{made_up}"
        )


def _time(seconds: float | None) -> str:
    from orchestrator.reports.words import duration

    return "unknown" if seconds is None else duration(seconds)


def _period(text: str | None) -> timedelta | None:
    from orchestrator.config.period import parse_period

    if text is None:
        return None
    try:
        return parse_period(text)
    except ValueError as error:
        raise UsageError(f"--random-within: {error}") from None
