"""A whole disposal whose catalog is in PostgreSQL: held, cut off, ended, and lost with the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.lab.postgres_server import PostgresServer
from orchestrator.actions.backup import back_up
from orchestrator.actions.disposal.execute import execute
from orchestrator.actions.disposal.primary import PrimaryDisposal
from orchestrator.actions.disposal.settle import settle
from orchestrator.actions.holds import place
from orchestrator.actions.rebuild import rebuild
from tests.integration.disposal.conftest import acting
from tests.integration.disposal.executing import (
    BATCH,
    SOON,
    Crash,
    approve_all,
    batch_state,
    die,
    interfere,
    key_of,
    primary,
    restored,
    snapshot_files,
    study_states,
    traces,
)
from tests.support.due_studies import NEW, OLD, prepare
from tests.support.postgres import CatalogUrl
from tests.support.postgres_site import lose_catalog, move_to_postgres
from tests.support.site import STORE, MakeSite

SECOND = """
[copies.second]
role = "local"
path = "copies/second"
"""
STAYS = {f"{study.folder}/{n}.dcm" for study in (OLD[0], NEW) for n in range(1, study.files + 1)}


def test_a_disposal_goes_all_the_way_with_its_catalog_in_postgresql(
    make_site: MakeSite,
    postgres_server: PostgresServer,
    postgres_url: CatalogUrl,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    lab = move_to_postgres(make_site(more=SOON + SECOND), postgres_server, postgres_url)
    lab.run("init", lab.folder)
    prepare(lab)
    approve_all(lab)
    with acting(lab, "privacy") as site:
        held = key_of(site, OLD[0])
        place.place(site, place.Wish("study", "24-CV-1", "a claim", study=held))
    with acting(lab, "it") as site, monkeypatch.context() as patched:
        interfere(patched, PrimaryDisposal, "_exchange", after=die)
        with pytest.raises(Crash):
            execute(site, BATCH, dry_run=False)
    with acting(lab, "it") as site:
        assert batch_state(site) == "executing"
        assert settle(site) == []
        assert batch_state(site) == "complete"
        states = study_states(site)
        assert states.pop(held) == "withheld"
        assert set(states.values()) == {"disposed"}
        assert traces(primary(site), OLD[1:]) == []
        assert set().union(*snapshot_files(primary(site)).values()) == STAYS
        back_up(site, [STORE])
    lose_catalog(lab)
    with acting(lab, "it") as site:
        rebuild(site, "second", [STORE])
        assert batch_state(site) == "complete"
        assert study_states(site) == {held: "withheld", **states}
    back = tmp_path / "back"
    assert restored(lab, back)["verified"]
    assert {str(path.relative_to(back)) for path in back.rglob("*.dcm")} == STAYS
