"""``patients``: the patient list that retention rests on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import PARTLY_DONE, ExitWith
from orchestrator.cli.options import Invocation, pass_invocation

if TYPE_CHECKING:
    from orchestrator.actions.retention.patients import Imported, Standing
    from orchestrator.catalog.retention_tables import PatientList

SHOWN = 20
"""Rejected rows that are named to people; programs get all."""


@click.group()
def patients() -> None:
    """The practice's list of patients: last treatments, births, deaths, merges, holds."""


@patients.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--issuer", help="Issuer of patient ids in rows that name none.")
@click.option("--accept-shrink", is_flag=True, help="Take it although it is much shorter.")
@pass_invocation
def import_list(
    invocation: Invocation, file: Path, *, issuer: str | None, accept_shrink: bool
) -> None:
    """Take in the patient list FILE (CSV), whole, in the place of the one before.

    A stale or shrunken list is refused. Rows that are wrong are named by line and reason; their
    patients' studies are never due. Exit status 3: taken, with rejected rows.
    """
    from orchestrator.actions.retention.patients import import_patients

    site = invocation.open_site()
    done = import_patients(site, file, accept_shrink=accept_shrink, issuer=issuer)
    if invocation.as_json:
        render.show_json(_document(done))
    else:
        _show(done)
    if done.outcome != "succeeded":
        raise ExitWith(PARTLY_DONE)


@patients.command()
@pass_invocation
def show(invocation: Invocation) -> None:
    """Show how old the list in force is, what it counts, and whether it can be relied on."""
    from orchestrator.actions.retention.patients import standing

    site = invocation.open_site()
    found = standing(site)
    limit = site.config.retention.patient_list_max_age
    if invocation.as_json:
        body = {
            "list": None if found.row is None else _list(found.row),
            "usable": not found.doubts,
            "doubts": sorted(found.doubts),
            "age_s": None if found.age is None else found.age.total_seconds(),
            "max_age_s": limit.total_seconds(),
            "merged": found.merged,
            "blocked": [{"reason": one, "count": many} for one, many in found.blocked.items()],
            "refused": None
            if found.refused is None
            else {**_list(found.refused), "refusal": found.refused.refusal},
        }
        render.show_json(body)
        return
    _show_standing(found)


def _show(done: Imported) -> None:
    row = done.row
    render.say(f"patient list {row.id}: {row.rows} rows, {row.accepted} taken, in force now")
    if done.blocking:
        render.table(
            ["blocked by", "count", "of"],
            [[one.reason, one.count, one.unit] for one in done.blocking],
        )
    if done.rejected_rows:
        render.table(
            ["line", "rejected because"],
            [[line, ", ".join(why)] for line, why in done.rejected_rows[:SHOWN]],
        )
    if len(done.rejected_rows) > SHOWN:
        render.say(f"and {len(done.rejected_rows) - SHOWN} further rows (--json names all)")
    if done.holds:
        render.say(f"{len(done.holds)} patients are on hold by this list")
    for problem in done.problems:
        render.say(f"left to do: {problem}")


def _show_standing(found: Standing) -> None:
    row = found.row
    if row is None:
        render.say("no patient list was imported: no study is ever due")
    else:
        render.table(
            ["list", "exported at", "imported at", "by", "rows", "taken", "rejected", "merged"],
            [
                [
                    row.id,
                    row.exported_at,
                    row.imported_at,
                    row.imported_by,
                    row.rows,
                    row.accepted,
                    row.rejected,
                    found.merged,
                ]
            ],
        )
    for doubt in sorted(found.doubts):
        render.say(f"it decides nothing: {doubt}")
    for reason, many in found.blocked.items():
        render.say(f"{many} patients are blocked: {reason}")
    if found.refused is not None:
        when = f"{found.refused.imported_at:%Y-%m-%d}"
        render.say(f"a list was refused on {when}: {found.refused.refusal}")


def _document(done: Imported) -> dict[str, Any]:
    return {
        **_list(done.row),
        "outcome": done.outcome,
        "blocking": [
            {"reason": one.reason, "count": one.count, "unit": one.unit} for one in done.blocking
        ],
        "rejected_rows": [{"line": line, "reasons": list(why)} for line, why in done.rejected_rows],
        "holds": list(done.holds),
        "problems": list(done.problems),
    }


def _list(row: PatientList) -> dict[str, Any]:
    return {
        "list": row.id,
        "state": row.state,
        "sha256": row.sha256,
        "exported_at": row.exported_at,
        "imported_at": row.imported_at,
        "imported_by": row.imported_by,
        "rows": row.rows,
        "accepted": row.accepted,
        "rejected": row.rejected,
    }
