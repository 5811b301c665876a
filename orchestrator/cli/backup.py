"""``backup`` and ``replicate``."""

from __future__ import annotations

import click

from orchestrator.cli import documents, render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.options import Invocation, pass_invocation


@click.command()
@click.argument("store", required=False)
@click.option("--accept-loss", is_flag=True, help="Many files really are gone: go on.")
@pass_invocation
def backup(invocation: Invocation, store: str | None, *, accept_loss: bool) -> None:
    """Back up STORE (default: all) and replicate to every copy that is there.

    Exit status: 0 done, 1 failed or a guard said no, 3 partly done (files that could not be read,
    a copy that failed), 4 damage found, 10 no such store or repository, 11 locked.
    """
    from orchestrator.actions.backup import back_up

    site = invocation.open_site()
    site.demand_role("operator")
    results = back_up(site, site.stores([store] if store else None), accept_loss=accept_loss)
    outcome = documents.outcome_of([result.outcome for result in results])
    if invocation.as_json:
        render.show_json(
            {
                "run": results[0].run,
                "outcome": outcome,
                "stores": [documents.store_backup(result) for result in results],
            }
        )
    else:
        for result in results:
            if result.error is not None:
                render.note(f"store {result.store}: {result.error.message}")
                continue
            render.say(
                f"store {result.store}: {render.colour(result.outcome)}, "
                f"{result.files} files ({result.files_new} new, {result.files_changed} changed, "
                f"{result.files_gone} gone), {render.size(result.bytes_added)} added, "
                f"snapshot {(result.snapshot or '')[:8]}"
            )
            _copies([documents.copy_result(copy) for copy in result.copies])
            for problem in result.problems:
                render.note(f"  file {problem.file}: {problem.state}: {problem.note}")
            if result.problem_count:
                render.note(
                    f"  {result.problem_count} files are not good; their names: "
                    f"orchestrator store show {result.store} --problems"
                )
    _leave(outcome, [result.error for result in results])


@click.command()
@click.argument("copy", required=False)
@click.option("--store", help="Only this store.")
@pass_invocation
def replicate(invocation: Invocation, copy: str | None, store: str | None) -> None:
    """Bring COPY (default: every replica) up to date with the primary."""
    from orchestrator.actions.replicate import replicate as bring_up_to_date

    site = invocation.open_site()
    site.demand_role("operator", "custodian")
    names = [site.copy_config(copy).name] if copy else None
    results = bring_up_to_date(site, site.stores([store] if store else None), copies=names)
    outcome = documents.outcome_of([result.outcome for result in results])
    copies = [
        {"store": result.store, **documents.copy_result(one)}
        for result in results
        for one in result.copies
    ]
    if invocation.as_json:
        render.show_json(
            {
                "run": results[0].run,
                "outcome": outcome,
                "copies": copies,
                "stores": [documents.store_replication(result) for result in results],
            }
        )
    else:
        _copies(copies)
    _leave(outcome, [result.error for result in results])


def _copies(rows: list[dict[str, object]]) -> None:
    render.table(
        ["copy", "role", "state", "files sent", "bytes sent", "remark"],
        [
            [
                row["copy"],
                row["role"],
                row["state"],
                row["files_sent"],
                render.size(int(str(row["bytes_sent"]))),
                row["error"] or row["detail"] or "",
            ]
            for row in rows
        ],
    )


def _leave(outcome: str, errors: list[object]) -> None:
    from orchestrator.actions.run import EXIT_CODE_OF
    from orchestrator.errors import OrchestratorError

    codes = {error.exit_code for error in errors if isinstance(error, OrchestratorError)}
    if outcome == "failed" and len(codes) == 1:
        raise ExitWith(codes.pop())
    if EXIT_CODE_OF[outcome]:
        raise ExitWith(EXIT_CODE_OF[outcome])
