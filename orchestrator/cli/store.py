"""``store`` and ``study``: what there is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import render
from orchestrator.cli.options import Invocation, pass_invocation

if TYPE_CHECKING:
    from orchestrator.actions.retention.decisions import Decided
    from orchestrator.catalog.studies import StudyRow


@click.group()
def store() -> None:
    """List stores, and what is wrong with files of one."""


@store.command("list")
@pass_invocation
def list_stores(invocation: Invocation) -> None:
    """Show every store with what its last backup found."""
    from orchestrator.actions.listing import store_list

    found = store_list(invocation.open_site())
    if invocation.as_json:
        render.show_json({"stores": found})
        return
    render.table(
        ["store", "kind", "path", "files", "bytes", "backed up"],
        [
            [
                one["store"],
                one["kind"],
                one["path"],
                one["files"],
                render.size(one["bytes"]),
                one["backed_up_at"],
            ]
            for one in found
        ],
    )


@store.command()
@click.argument("name")
@click.option("--problems", is_flag=True, help="Name the files that are not good. This is PHI.")
@pass_invocation
def show(invocation: Invocation, name: str, *, problems: bool) -> None:
    """Show store NAME; with --problems the paths of files that are not good, on request only."""
    from orchestrator.actions.listing import problems as find
    from orchestrator.actions.listing import store_list

    site = invocation.open_site()
    site.demand_role("operator", "custodian", "compliance")
    site.store_config(name)
    facts = next(one for one in store_list(site) if one["store"] == name)
    if problems:
        facts["problems"] = [
            {"path": os.fsdecode(e.path), "state": e.state, "note": e.note}
            for e in find(site, name)
        ]
    if invocation.as_json:
        for problem in facts.get("problems", []):
            problem["path"] = problem["path"].encode("utf-8", "backslashreplace").decode()
        render.show_json(facts)
        return
    for key, value in facts.items():
        if key != "problems":
            render.say(f"{key.replace('_', ' ')}: {render.cell(value)}")
    for problem in facts.get("problems", []):
        printable = problem["path"].encode("utf-8", "backslashreplace").decode()
        render.say(f"  {problem['state']}: {printable!r}: {problem['note']}")


@click.group()
def study() -> None:
    """Studies, by pseudonym."""


@study.command("list")
@click.option("--store", "store_name", help="Only this store.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1))
@pass_invocation
def list_studies(invocation: Invocation, store_name: str | None, limit: int) -> None:
    """Show studies by pseudonym; `restore --study` takes one."""
    from orchestrator.actions.listing import study_list
    from orchestrator.actions.retention.decisions import decided

    site = invocation.open_site()
    if store_name is not None:
        site.store_config(store_name)
    found = study_list(site, store_name, limit=limit)
    known = decided(site, {row.study for row in found})
    if known.problem is not None:
        render.note(known.problem)
    if invocation.as_json:
        render.show_json({"studies": [_values(row, known) for row in found]})
        return
    render.table(
        ["study", "store", "patient", "files", "bytes", "modalities", "newest", "due", "verdict"],
        [
            [
                row.study,
                row.store,
                row.patient,
                row.files,
                render.size(row.size_bytes),
                ", ".join(row.modalities),
                row.newest_study_date,
                _values(row, known)["due"],
                _values(row, known)["verdict"],
            ]
            for row in found
        ],
    )


def _values(row: StudyRow, known: Decided) -> dict[str, Any]:
    decision = known.decisions.get((row.store, row.study))
    return {
        **row._asdict(),
        "due": decision.due if decision is not None else None,
        "verdict": decision.verdict if decision is not None else None,
    }


@study.command("show")
@click.argument("key")
@pass_invocation
def show_study(invocation: Invocation, key: str) -> None:
    """Show the study with pseudonym KEY, and the copies that hold its newest snapshot."""
    from orchestrator.actions.listing import snapshot_list
    from orchestrator.actions.listing import study as find
    from orchestrator.actions.retention.decisions import decided

    site = invocation.open_site()
    rows = find(site, key)
    known = decided(site, [key])
    if known.problem is not None:
        render.note(known.problem)
    body = []
    for row in rows:
        held = snapshot_list(site, [row.store])
        body.append({**_values(row, known), "copies": held[0].copies if held else []})
    if invocation.as_json:
        render.show_json({"studies": body})
        return
    for one in body:
        for name, value in one.items():
            text = ", ".join(value) if isinstance(value, list | tuple) else render.cell(value)
            render.say(f"{name.replace('_', ' ')}: {text}")
