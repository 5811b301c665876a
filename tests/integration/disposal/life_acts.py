"""What a site is told to do, called as its commands call it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

_STORE = "xrays"


def _back_up(site: Any) -> dict[str, Any]:
    from orchestrator.actions.backup import back_up

    (result,) = back_up(site, [_STORE])
    return {"outcome": result.outcome, "snapshot": result.snapshot}


def _replicate(site: Any) -> dict[str, Any]:
    from orchestrator.actions.replicate import replicate

    (result,) = replicate(site, [_STORE])
    return {"outcome": result.outcome, "copies": {one.copy: one.state for one in result.copies}}


def _rotate(site: Any) -> dict[str, Any]:
    from orchestrator.actions.rotate import rotate

    (result,) = rotate(site, [_STORE], dry_run=False)
    return {"removed": len(result.remove)}


def _sweep(site: Any) -> dict[str, Any]:
    from orchestrator.actions.sweep import sweep

    (result,) = sweep(site, "vault", [_STORE])
    return {"removed": result.removed, "locked": result.locked, "problem": result.problem}


def _propose(site: Any) -> dict[str, Any]:
    from orchestrator.actions.disposal.propose import propose

    return {"disposal": propose(site).row.id}


def _approve(site: Any, name: str) -> None:
    from orchestrator.actions.disposal.decide_batch import approve

    approve(site, name)


def _refuse(site: Any, name: str) -> None:
    from orchestrator.actions.disposal.decide_batch import refuse

    refuse(site, name, reason="not now")


def _execute(site: Any, name: str) -> dict[str, Any]:
    from orchestrator.actions.disposal.execute import execute

    return {"problems": execute(site, name, dry_run=False).problems}


def _settle(site: Any) -> dict[str, Any]:
    from orchestrator.actions.disposal.settle import settle

    return {"problems": settle(site)}


def _place(site: Any, kind: str, **what: Any) -> dict[str, Any]:
    from orchestrator.actions.holds import coverage, place

    if "patient" in what:
        what = {"patients": coverage.patient_names(site, "", what["patient"])}
    for name in ("dates_from", "dates_to"):
        if name in what:
            what[name] = date.fromisoformat(what[name])
    done = place.place(site, place.Wish(kind, "24-CV-1", "a claim", **what))  # type: ignore[arg-type]
    return {"problems": done.problems}


def _release(site: Any, name: str) -> dict[str, Any]:
    from orchestrator.actions.holds.release import release

    return {"state": release(site, name, "settled").state}


def _patients(site: Any, file: str) -> dict[str, Any]:
    from orchestrator.actions.retention.patients import import_patients

    return {"rejected": import_patients(site, Path(file)).row.rejected}


def _adopt(site: Any, name: str) -> None:
    from orchestrator.actions.retention.adopt import adopt

    adopt(site, name)


def _restore(
    site: Any, to: str, copy: str | None, snapshot: str | None, as_of: str | None
) -> dict[str, Any]:
    from orchestrator.actions.restore import Wish, restore

    at = datetime.fromisoformat(as_of) if as_of else None
    done = restore(site, Wish(_STORE, Path(to), snapshot=snapshot, copy=copy, as_of=at))
    return {"verified": done.verified, "files": done.files, "suppressed": done.suppressed,
            "snapshot": done.snapshot}  # fmt: skip


def _drill(site: Any, copy: str, snapshot: str | None, kit: bool) -> dict[str, Any]:
    from orchestrator.actions.drills.drill import drill
    from orchestrator.actions.drills.wish import Wish
    from orchestrator.actions.drills.work import DrillWork

    real = DrillWork.perform
    seen: list[str] = []

    def perform(work: Any, engine: Any, box: Any, **more: Any) -> None:
        try:
            real(work, engine, box, **more)
        finally:
            files = [path for path in box.files.rglob("*") if path.is_file()]
            seen.extend(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)

    DrillWork.perform = perform  # type: ignore[method-assign]
    path = site.state_dir / "recovery-kit" / "recovery-kit.txt" if kit else None
    done = drill(site, Wish(_STORE, copy, snapshot=snapshot, kit=path))
    failed = [f"{one.name}: {one.detail}" for one in done.checks if one.state == "failed"]
    return {"verdict": done.verdict, "reason": done.reason, "seen": seen, "failed": failed,
            "snapshot": done.snapshot}  # fmt: skip


def _rebuild(site: Any, copy: str, rotated: bool) -> dict[str, Any]:
    from orchestrator.actions.rebuild import rebuild

    done = rebuild(site, copy, [_STORE], rotated=rotated)
    return {"unasked": done.unasked, "lost": done.lost, "problems": done.lost}


def _ask_lists(site: Any) -> dict[str, Any]:
    from orchestrator.actions.disposal.suppression import recover

    return {"unasked": recover(site)}


def _release_medium(site: Any) -> None:
    from orchestrator.actions.media import release

    release(site, "rotation", holder=None, location="the bank")


def _receive_medium(site: Any, name: str) -> None:
    from orchestrator.actions.media import receive

    receive(site, name, holder=None, location=None)


def _add_medium(site: Any, where: str, label: str) -> None:
    from orchestrator.actions.media import register

    register(site, "rotation", Path(where), label=label)


def _retire(site: Any, name: str) -> None:
    from orchestrator.actions.retire import retire

    retire(site, name, note=None)


def _shred(site: Any, name: str) -> None:
    """Record that a retired medium was shredded, and that compliance accepts it."""
    from orchestrator.actions.media import find
    from orchestrator.catalog.sanitization_tables import Sanitization
    from orchestrator.catalog.sanitizations import add

    now = site.clock.now()
    row = Sanitization(
        id=f"{now:%Y%m%d}-{now:%H%M%S}ab",
        state="recorded",
        basis="attested",
        technique="shred",
        kind="hdd",
        medium=find(site, name, retired=True).id,
        proposed_by="it",
        proposed_at=now,
        ended_at=now,
        method="destroy",
        validation="accepted",
        validated_by="privacy",
        validated_at=now,
    )
    with site.catalog.transaction() as session:
        add(session, row)


ACTS: dict[str, Callable[..., dict[str, Any] | None]] = {
    "backup": _back_up,
    "replicate": _replicate,
    "rotate": _rotate,
    "sweep": _sweep,
    "propose": _propose,
    "approve": _approve,
    "refuse": _refuse,
    "execute": _execute,
    "settle": _settle,
    "place": _place,
    "release": _release,
    "patients": _patients,
    "adopt": _adopt,
    "restore": _restore,
    "drill": _drill,
    "rebuild": _rebuild,
    "ask lists": _ask_lists,
    "release medium": _release_medium,
    "receive medium": _receive_medium,
    "add medium": _add_medium,
    "retire": _retire,
    "shred": _shred,
}
