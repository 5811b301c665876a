"""Drills and the signatures under them.

A drill's result lies beside the ledger; where it does not, the row says no more than the entry:
verdict and measures. Which studies a drill proved is not kept there: coverage is proved anew.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

from orchestrator.actions.rebuilding.told import Brought, Told, document
from orchestrator.actions.site import Site
from orchestrator.catalog import drills
from orchestrator.catalog.drill_tables import Drill
from orchestrator.drills.document import from_document
from orchestrator.drills.result import DrillResult, RecoveryPoint, RecoveryTime, SignOff, Verdict

if TYPE_CHECKING:
    from sqlmodel import Session

REMARK = (
    "The catalog was made anew since: of this drill only what stands in the ledger is known, and "
    "its report."
)
SIGNED = "found in the ledger when the catalog was made anew; the words stand in the report"


def bring_back(site: Site, told: list[Told], brought: Brought) -> None:
    """Bring back drills that the catalog does not know, or knows without their end.

    Raises:
        OrchestratorError: The catalog fails.
    """
    signed: Counter[str] = Counter()
    with site.catalog.transaction() as session:
        for one in told:
            if one.type == "drill.done":
                brought.counts["drills"] += _drill(site, session, one, brought)
            elif one.type == "drill.signed":
                name = str(one.body["drill"])
                signed[name] += 1
                # A signature is in the catalog before it is in the ledger.
                if signed[name] > len(drills.signs(session, name)):
                    _sign(site, session, name, one)


def _drill(site: Site, session: Session, one: Told, brought: Brought) -> bool:
    name = str(one.body["drill"])
    row = session.get(Drill, name)
    if row is not None and row.ended_at is not None:
        return False
    kept = document(site, one, "result")
    result = _poor(site, one) if kept is None else from_document(kept)
    if kept is None:
        brought.lost.append(
            f"drill {name}: its verdict is known ({result.verdict.replace('_', ' ')}), what it "
            "looked at is not: drill that copy again"
        )
    if row is None:
        drills.begin(session, result, run_id=None)
    drills.finish(session, result)
    page = site.state_dir / "reports" / "drills" / f"{name}.html"
    if page.is_file():
        drills.set_report(session, name, report=page.name, sha256=one.hash_of("report") or "")
    return True


def _poor(site: Site, one: Told) -> DrillResult:
    """Return what the entry alone says."""
    body = one.body
    store, copy = str(body["store"]), str(body["copy"])
    known, place = site.config.stores.get(store), site.config.copies.get(copy)
    rto, rpo = _seconds(body.get("rto_ms")), _seconds(body.get("rpo_ms"))
    return DrillResult(
        drill=str(body["drill"]),
        site=site.config.name,
        store=store,
        copy=copy,
        role="unknown" if place is None else place.role,
        scope=str(body["scope"]),
        started_at=one.at,
        ended_at=one.at,
        actor=one.entry.actor,
        rto=RecoveryTime(0.0 if known is None else known.rto.total_seconds(), rto),
        rpo=RecoveryPoint(0.0 if known is None else known.rpo.total_seconds(), rpo),
        snapshot=body.get("snapshot"),
        kit_only=bool(body["kit_only"]),
        verdict=cast("Verdict", body["verdict"]),
        reason="Found in the ledger.",
        exit_code=int(body["exit_code"]),
        files=int(body["files"]),
        remarks=[REMARK],
    )


def _sign(site: Site, session: Session, name: str, one: Told) -> None:
    if session.get(Drill, name) is None:
        return
    person = site.config.actors.get(one.entry.actor)
    signature = SignOff(
        one.entry.actor if person is None else person.name,
        "" if person is None else person.title,
        one.at,
        SIGNED,
    )
    drills.sign(session, name, actor=one.entry.actor, sign_off=signature)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
