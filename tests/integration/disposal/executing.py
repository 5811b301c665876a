"""Sites on which a disposal may be executed at once, and a look at copies past the product."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.disposal.decide_batch import approve
from orchestrator.actions.disposal.propose import propose
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals
from orchestrator.engines.restic.repository import Repository
from tests.integration.disposal.conftest import MORE, acting
from tests.support.due_studies import BATCH, Made, dicom
from tests.support.site import STORE, LabSite, wait_for

SOON = MORE.replace('quarantine = "14d"', 'quarantine = "1s"')


class Crash(BaseException):
    """The process dies here."""


def approve_all(lab: LabSite) -> None:
    """Propose what is due, let another person approve it, and wait for the quarantine's end."""
    with acting(lab, "it") as site:
        propose(site)
    with acting(lab, "privacy") as site:
        until = approve(site, BATCH).row.quarantine_until
        assert until is not None
        wait_for(lambda: site.clock.now() > until)


def key_of(site: Site, study: Made) -> str:
    return site.catalog.keys.pseudonyms.study(study.uid)


def study_states(site: Site) -> dict[str, str]:
    with site.catalog.reading() as session:
        return {one.study_key: one.state for one in disposals.studies(session, BATCH)}


def batch_state(site: Site) -> str:
    with site.catalog.reading() as session:
        return disposals.get(session, BATCH).state


def primary(site: Site) -> Repository:
    return site.primary_engine(STORE, site.repository(STORE).name)


def contents(study: Made) -> set[str]:
    """Return the SHA-256 of a study's files: restic's ids of their blobs."""
    return {hashlib.sha256(dicom(study, n)).hexdigest() for n in range(1, study.files + 1)}


def traces(engine: Repository, studies: Iterable[Made]) -> list[str]:
    """Look for studies in everything a repository holds; return where something was found."""
    found = []
    studies = list(studies)
    for one in engine.snapshots():
        kind = one.tags[0]
        if kind == "data":
            paths = [node.path.strip("/") for node in engine.ls(one.id)]
            found += [
                f"path in {one.id[:8]}"
                for study in studies
                for path in paths
                if path == study.folder or path.startswith(study.folder + "/")
            ]
        elif kind == "manifest":
            text = b"".join(engine.dump(one.id, "/manifest.jsonl"))
            found += [
                f"manifest {one.id[:8]}" for study in studies if f'{study.uid}"'.encode() in text
            ]
    wanted = {sha for study in studies for sha in contents(study)}
    looked = engine.contents(wanted)
    found += [f"blob {sha[:8]}" for sha in looked.found]
    if looked.blobs != looked.used:
        found.append("unused blobs")
    return found


def snapshot_files(engine: Repository) -> dict[str, set[str]]:
    """Return the files of every data snapshot, by id."""
    return {
        one.id: {node.path.strip("/") for node in engine.ls(one.id) if node.type == "file"}
        for one in engine.snapshots(tags=["data"])
    }


def manifest_paths(engine: Repository, snapshot: str) -> set[str]:
    lines = b"".join(engine.dump(snapshot, "/manifest.jsonl")).splitlines()[1:-1]
    return {json.loads(line)["path"] for line in lines}


def interfere(
    monkeypatch: pytest.MonkeyPatch,
    target: Any,
    name: str,
    *,
    before: Callable[[], None] | None = None,
    after: Callable[[], None] | None = None,
    turn: int = 1,
) -> None:
    """Let something happen before or after the real call number `turn`."""
    real = getattr(target, name)
    numbers = itertools.count(1)

    def call(*args: Any, **options: Any) -> Any:
        number = next(numbers)
        if number == turn and before is not None:
            before()
        result = real(*args, **options)
        if number == turn and after is not None:
            after()
        return result

    monkeypatch.setattr(target, name, call)


def die() -> None:
    raise Crash


def restored(lab: LabSite, where: Path, *words: str) -> dict[str, Any]:
    return dict(lab.ask("restore", STORE, "--to", where, *words))
