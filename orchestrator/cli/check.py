"""``check``: verify a copy's bytes."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.options import Invocation, pass_invocation
from orchestrator.errors import UsageError


@click.command()
@click.argument("copy", required=False)
@click.option("--store", help="Only this store.")
@click.option("--slice", "part", metavar="N/T", help="Slice n of t; t runs cover everything.")
@click.option("--no-structure", is_flag=True, help="Hash only: needs no key.")
@pass_invocation
def check(
    invocation: Invocation,
    copy: str | None,
    store: str | None,
    part: str | None,
    *,
    no_structure: bool,
) -> None:
    """Hash COPY (default: every copy), and let restic check its structure.

    Exit status: 0 all good, 3 a copy could not be checked, 4 damage found.
    """
    from orchestrator.actions.check import check as verify

    wanted = _slice(part)
    site = invocation.open_site()
    names = [site.copy_config(copy).name] if copy else list(site.config.copies)
    run, results = verify(
        site,
        site.stores([store] if store else None),
        names=names,
        part=wanted,
        structure=not no_structure,
    )
    copies: list[dict[str, Any]] = [
        {
            "copy": result.copy,
            "store": result.store,
            "state": result.state,
            "files_checked": result.files_checked,
            "bytes_checked": result.bytes_checked,
            "coverage": result.coverage,
            "structure": result.structure,
            "damaged": [
                {"file": item.file, "problem": item.problem, "snapshots": item.snapshots}
                for item in result.damaged
            ],
            "detail": result.detail,
        }
        for result in results
    ]
    if invocation.as_json:
        render.show_json({"run": run, "copies": copies})
    else:
        _show(copies)
    if any(result.damaged for result in results):
        raise ExitWith(4)
    if any(result.state == "unknown" for result in results):
        raise ExitWith(3)


def _show(copies: list[dict[str, Any]]) -> None:
    render.table(
        ["copy", "store", "state", "files", "bytes", "covered", "structure", "remark"],
        [
            [
                row["copy"],
                row["store"],
                row["state"],
                row["files_checked"],
                render.size(row["bytes_checked"]),
                f"{int(row['coverage'] * 100)}%",
                row["structure"],
                row["detail"] or "",
            ]
            for row in copies
        ],
    )
    for row in copies:
        for item in row["damaged"]:
            render.note(
                f"copy {row['copy']}: {item['file']}: {item['problem']}; needed by "
                f"{len(item['snapshots'])} snapshots: "
                f"{', '.join(name[:8] for name in item['snapshots'][:5])}"
            )


def _slice(text: str | None) -> tuple[int, int]:
    if text is None:
        return 1, 1
    number, slash, total = text.partition("/")
    if slash and number.isdecimal() and total.isdecimal():
        part = int(number), int(total)
        if 1 <= part[0] <= part[1]:
            return part
    raise UsageError(
        f"--slice {text}: write n/t with 1 <= n <= t", hint="orchestrator check --slice 1/7"
    )
