"""``bucket``: Object-Lock buckets."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.options import Invocation, pass_invocation


@click.group()
def bucket() -> None:
    """Create, probe, extend and sweep an Object-Lock bucket, and prove its coverage."""


@bucket.command()
@click.argument("copy")
@pass_invocation
def create(invocation: Invocation, copy: str) -> None:
    """Create the bucket of COPY with Object Lock; it cannot be switched on later everywhere."""
    from orchestrator.actions import bucket as actions

    site = invocation.open_site()
    site.demand_role("custodian", "operator")
    facts = actions.create(site, copy)
    if invocation.as_json:
        render.show_json({"copy": copy, "exists": facts.exists, "lock_enabled": facts.lock_enabled})
    else:
        render.say(f"copy {copy}: the bucket is there, Object Lock is on")


@bucket.command()
@click.argument("copy")
@pass_invocation
def probe(invocation: Invocation, copy: str) -> None:
    """Try to tamper with COPY using the production credential; everything must be refused.

    Leaves one small object under a short lock. Exit status: 0 held, 4 breached, 3 inconclusive.
    """
    from orchestrator.actions import bucket as actions

    site = invocation.open_site()
    site.demand_role("custodian", "operator")
    run, result = actions.probe(site, copy)
    if invocation.as_json:
        render.show_json(
            {
                "run": run,
                "copy": copy,
                "verdict": result.verdict,
                "protected_until": result.retain_until,
                "files": 1 if result.canary else 0,
                "requests": len(result.attempts),
                "attempts": [
                    {
                        "action": attempt.action,
                        "expected": attempt.expected,
                        "observed": attempt.observed,
                        "ok": attempt.ok,
                    }
                    for attempt in result.attempts
                ],
            }
        )
    else:
        render.say(f"copy {copy}: tamper probe {render.colour(result.verdict)}")
        render.table(
            ["attempt", "expected", "observed", "as it must be"],
            [[a.action, a.expected, a.observed, a.ok] for a in result.attempts],
        )
    if result.verdict != "held":
        raise ExitWith(4 if result.verdict == "breached" else 3)


@bucket.command()
@click.argument("copy")
@click.option("--store", help="Only this store.")
@pass_invocation
def coverage(invocation: Invocation, copy: str, store: str | None) -> None:
    """Prove by a listing until when everything that is needed in COPY is protected.

    Exit status: 0 covered, 4 something needed is missing or its lock has ended.
    """
    from orchestrator.actions import bucket as actions

    site = invocation.open_site()
    results = actions.coverage(site, copy, site.stores([store] if store else None))
    rows = [
        {
            "store": result.store,
            "snapshot": result.snapshot,
            "verdict": result.verdict,
            "protected_until": result.protected_until,
            "files": result.files,
            "missing": result.missing,
            "suspicious": result.suspicious,
            "requests": result.requests,
        }
        for result in results
    ]
    covered = all(result.verdict == "covered" for result in results)
    if invocation.as_json:
        ends = [result.protected_until for result in results]
        render.show_json(
            {
                "copy": copy,
                "verdict": "covered" if covered else "not_covered",
                "protected_until": min((e for e in ends if e is not None), default=None)
                if covered
                else None,
                "files": sum(result.files for result in results),
                "requests": sum(result.requests for result in results),
                "stores": rows,
            }
        )
    else:
        render.table(
            ["store", "verdict", "files", "missing", "protected until", "suspicious"],
            [
                [
                    row["store"],
                    row["verdict"],
                    row["files"],
                    row["missing"],
                    row["protected_until"],
                    row["suspicious"],
                ]
                for row in rows
            ],
        )
    if not covered or any(result.suspicious for result in results):
        raise ExitWith(4)


@bucket.command()
@click.argument("copy")
@click.option("--store", help="Only this store.")
@pass_invocation
def extend(invocation: Invocation, copy: str, store: str | None) -> None:
    """Lengthen the locks in COPY of which little is left, for files that are still needed.

    Exit status: 0 done or nothing to do, 3 some locks could not be lengthened.
    """
    from orchestrator.actions import bucket as actions

    site = invocation.open_site()
    site.demand_role("custodian", "operator")
    run, results = actions.extend(site, copy, site.stores([store] if store else None))
    failed = sum(result.failed for result in results)
    extended = sum(result.extended for result in results)
    if invocation.as_json:
        ends = [result.protected_until for result in results]
        render.show_json(
            {
                "run": run,
                "copy": copy,
                "verdict": "failed" if failed else "extended" if extended else "fresh",
                "protected_until": None if None in ends else min(e for e in ends if e),
                "files": sum(result.files for result in results),
                "extended": extended,
                "failed": failed,
                "requests": sum(result.requests for result in results),
            }
        )
    else:
        for result in results:
            render.say(
                f"store {result.store}: {result.extended} of {result.files} locks lengthened, "
                f"{result.failed} failed; protected until {render.cell(result.protected_until)}"
            )
    if failed:
        raise ExitWith(3)


@bucket.command()
@click.argument("copy")
@click.option("--store", help="Only this store.")
@pass_invocation
def sweep(invocation: Invocation, copy: str, store: str | None) -> None:
    """Remove from COPY what is no longer needed and no longer locked, with the sweeper's key."""
    from orchestrator.actions.sweep import sweep as remove

    site = invocation.open_site()
    site.demand_role("custodian", "operator")
    results = remove(site, copy, site.stores([store] if store else None))
    if invocation.as_json:
        render.show_json(
            {
                "copy": copy,
                "removed": sum(result.removed for result in results),
                "locked": sum(result.locked for result in results),
                "holds": sorted({one for result in results for one in result.holds}),
            }
        )
    else:
        for result in results:
            held = f" or on hold {', '.join(result.holds)}" if result.holds else ""
            render.say(
                f"store {result.store}: {result.removed} versions removed, {result.locked} still "
                f"locked{held}"
            )
            if result.problem is not None:
                render.say(f"  {result.problem}")
    if any(result.problem is not None for result in results):
        raise ExitWith(3)


@bucket.command()
@click.argument("copy")
@click.option("--to", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--as-of", metavar="TIME", help="As it was then: a date or an instant.")
@click.option("--store", help="Only this store.")
@pass_invocation
def recover(
    invocation: Invocation, copy: str, to: Path, as_of: str | None, store: str | None
) -> None:
    """Bring the repositories in COPY back as folders, whatever was hidden or overwritten.

    Only files with the SHA-256 of their name are written; plain restic opens the result. Run it
    again with the same folder to go on where it was cut off. Exit status: 0 everything came back,
    3 something is missing or damaged, or no snapshot came back.
    """
    from orchestrator.actions.as_of import instant
    from orchestrator.actions.recover import recover as bring_back

    site = invocation.open_site()
    site.demand_role("custodian", "operator")
    zone, now = site.config.timezone, site.clock.now()
    at = instant(as_of, zone, now=now) if as_of is not None else None
    run, results = bring_back(site, copy, site.stores([store] if store else None), to=to, at=at)
    if invocation.as_json:
        render.show_json(
            {
                "run": run,
                "copy": copy,
                "as_of": at,
                "files": sum(result.files for result in results),
                "bytes": sum(result.bytes for result in results),
                "missing": [path for result in results for path in result.missing],
                "damaged": [path for result in results for path in result.damaged],
                "stores": [
                    {
                        "store": result.store,
                        "folder": str(result.folder),
                        "files": result.files,
                        "bytes": result.bytes,
                        "already": result.already,
                        "missing": result.missing,
                        "damaged": result.damaged,
                        "structure": result.structure,
                        "problem": result.problem,
                    }
                    for result in results
                ],
            }
        )
    else:
        for result in results:
            render.say(
                f"store {result.store}: {result.files} files, {render.size(result.bytes)}, in "
                f"{result.folder}; structure {render.colour(result.structure)}"
            )
            if result.problem is not None:
                render.say(f"  {result.problem}")
            for words, paths in (("missing", result.missing), ("damaged", result.damaged)):
                for path in paths:
                    render.say(f"  {words}: {path}")
    if not all(result.is_whole for result in results):
        raise ExitWith(3)
