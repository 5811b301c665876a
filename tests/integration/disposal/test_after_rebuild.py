"""A disposal whose catalog was lost after its execution, and made anew from before it."""

from __future__ import annotations

from orchestrator.actions.backup import back_up
from orchestrator.actions.disposal.execute import execute
from orchestrator.actions.disposal.settle import settle
from orchestrator.actions.rebuild import rebuild
from orchestrator.catalog import suppressions
from tests.integration.disposal.conftest import acting
from tests.integration.disposal.executing import (
    BATCH,
    SOON,
    approve_all,
    batch_state,
    key_of,
    primary,
    snapshot_files,
    study_states,
)
from tests.support.due_studies import NEW, OLD, prepare
from tests.support.postgres_site import lose_catalog
from tests.support.site import STORE, MakeSite

SECOND = """
[copies.second]
role = "local"
path = "copies/second"
"""


def test_what_lies_where_a_disposed_study_was_keeps_it_not_after_all(make_site: MakeSite) -> None:
    """The old manifest has the study's files, and does not know what lies there now."""
    lab = make_site(more=SOON + SECOND)
    lab.run("init", lab.folder)
    prepare(lab)
    approve_all(lab)
    second, away = lab.folder / "copies" / "second", lab.folder / "away"
    second.rename(away)
    with acting(lab, "it") as site:
        execute(site, BATCH, dry_run=False)
    beside = lab.images / OLD[0].folder / "note.txt"
    beside.parent.mkdir(parents=True)
    beside.write_text("of nobody")
    away.rename(second)
    lose_catalog(lab)
    with acting(lab, "it") as site:
        rebuild(site, "second", [STORE])
        key = key_of(site, OLD[0])
        assert study_states(site)[key] == "suppressed"
        settle(site)
        assert "withheld" not in study_states(site).values()
        with site.catalog.reading() as session:
            assert key in suppressions.suppressed(session, STORE)
    lose_catalog(lab)
    with acting(lab, "it") as site:
        rebuild(site, "disk", [STORE])
        (done,) = back_up(site, [STORE])
        assert done.error is None
        settle(site)
        assert set(study_states(site).values()) <= {"primary_removed", "disposed"}
        found = set().union(*snapshot_files(primary(site)).values())
        kept = {f"{NEW.folder}/{number}.dcm" for number in range(1, NEW.files + 1)}
        assert found == {*kept, f"{OLD[0].folder}/note.txt"}
        assert settle(site) == []
        assert batch_state(site) == "complete"
    assert beside.read_text() == "of nobody"
