"""``status``: does 3-2-1 hold?"""

from __future__ import annotations

import click

from orchestrator.cli import documents, render
from orchestrator.cli.options import Invocation, pass_invocation


@click.command()
@click.argument("store", required=False)
@pass_invocation
def status(invocation: Invocation, store: str | None) -> None:
    """Say for STORE (default: all) whether 3-2-1 holds, with every fact behind it.

    Reads what was observed and when; makes no connection. `unknown` is never good: look at the
    reasons. Exit status 0 whatever the verdict is.
    """
    from orchestrator.actions.status import status as stand

    site = invocation.open_site()
    found = stand(site, site.stores([store] if store else None))
    if invocation.as_json:
        render.show_json({"stores": [documents.store_status(one) for one in found]})
        return
    for one in found:
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
            measured = "not measured yet" if objective.measured is None else "measured "
            measured += "" if objective.measured is None else render.span(objective.measured)
            met = {True: "met", False: "not_met", None: "unknown"}[objective.met]
            render.say(
                f"  {name}: target {render.span(objective.target)}, {measured}: "
                f"{render.colour(met)}"
            )
