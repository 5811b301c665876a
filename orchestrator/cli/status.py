"""``status``: does 3-2-1 hold?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli import documents, render
from orchestrator.cli.options import Invocation, pass_invocation

if TYPE_CHECKING:
    from orchestrator.actions.disposal.under_way import UnderWay
    from orchestrator.actions.drills.status import CopyDrills
    from orchestrator.actions.objectives import Objective
    from orchestrator.actions.status import StoreStatus


@click.command()
@click.argument("store", required=False)
@pass_invocation
def status(invocation: Invocation, store: str | None) -> None:
    """Say for STORE (default: all) whether 3-2-1 holds, with every fact behind it.

    Reads what was observed and when; makes no connection. `unknown` is never good: look at the
    reasons. What was due and did not happen, a copy or a kit that was never drilled: these change
    no verdict and are told as warnings. Exit status 0 whatever the verdict is.
    """
    from orchestrator.actions.status import site_status

    site = invocation.open_site()
    found = site_status(site, site.stores([store] if store else None))
    if invocation.as_json:
        render.show_json(documents.site_status(found))
        return
    for one in found.stores:
        _show(one)
    for disposal in found.disposals:
        render.say(f"  {_standing(disposal)}")
    for warning in found.warnings:
        render.say(f"  ! {warning}")


def _show(one: StoreStatus) -> None:
    render.say(
        f"store {one.store}: 3-2-1 {render.colour(one.verdict)}   "
        f"{one.files} files, {render.size(one.size_bytes)}"
    )
    for reason in one.reasons:
        render.say(f"  - {reason}")
    render.table(
        ["copy", "role", "medium", "state", "newest snapshot", "verified", "protected until"],
        [
            [
                judged.facts.copy,
                judged.facts.role,
                judged.facts.medium,
                judged.state,
                judged.facts.newest_at,
                judged.facts.verified_at,
                judged.facts.protected_until,
            ]
            for judged in one.copies
        ],
    )
    for name, objective in (("RPO", one.rpo), ("RTO", one.rto)):
        measured = _measured(objective)
        met = {True: "met", False: "not_met", None: "unknown"}[objective.met]
        render.say(
            f"  {name}: target {render.span(objective.target)}, {measured}: {render.colour(met)}"
        )
    for copy in one.drills:
        render.say(f"  drills of copy {copy.copy}: {_proven(copy)}")


def _standing(one: UnderWay) -> str:
    """Say where a disposal stands, and what it waits for."""
    words = f"disposal {one.disposal}: {one.state}"
    if one.paused is not None:
        words += f", paused by hold {one.paused}"
    if one.left:
        until = "unknown" if one.residual_until is None else render.cell(one.residual_until)
        words += f"; left on {', '.join(one.left)}, until {until}"
    return f"{words}: orchestrator disposal show {one.disposal}"


def _measured(objective: Objective) -> str:
    if objective.measured is not None:
        by = f" by a {objective.basis}" if objective.basis else ""
        return f"measured {render.span(objective.measured)}{by}"
    if objective.projected is not None and objective.projected_high is not None:
        return (
            f"projected {render.span(objective.projected)}, at most "
            f"{render.span(objective.projected_high)}, from a drill of a part"
        )
    return "not measured yet"


def _proven(copy: CopyDrills) -> str:
    if copy.last_at is None:
        return "none yet"
    share = copy.coverage
    return (
        f"last {render.cell(copy.last_at)}, {copy.last_verdict}; of {share.studies} studies proven "
        f"within 30 days {render.share(share.within_30_days)}, "
        f"90 days {render.share(share.within_90_days)}, "
        f"365 days {render.share(share.within_365_days)}"
    )
