"""A disposal that is cut off again and again goes on each time, and ends as if nothing had been."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.actions.disposal import inside, live, suppression
from orchestrator.actions.disposal import primary as primaries
from orchestrator.actions.disposal.execute import execute, resume
from orchestrator.actions.disposal.settle import settle
from orchestrator.actions.disposal.sought import Sought
from orchestrator.actions.holds import place
from orchestrator.catalog import disposed
from orchestrator.engines.restic.repository import Repository
from orchestrator.errors import RefusedError
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
    snapshot_files,
    study_states,
    traces,
)
from tests.support.due_studies import NEW, OLD
from tests.support.restic import tree
from tests.support.site import STORE, LabSite

KEPT = {f"{NEW.folder}/{n}.dcm" for n in range(1, NEW.files + 1)}

POINTS: tuple[tuple[str, Any, str, str, int], ...] = (
    ("the list is not published", suppression, "publish", "before", 1),
    ("no file is gone", live.files, "remove", "before", 1),
    (
        "the files of one study are gone and nobody has recorded it",
        live.files,
        "remove",
        "after",
        1,
    ),
    ("the last manifest is not reduced", live.LiveDisposal, "_reduce_manifest", "before", 1),
    ("one manifest is stored anew", Repository, "backup_stream", "after", 1),
    ("all manifests are stored anew", Sought, "add", "after", 1),
    ("the snapshots are stored anew", Repository, "rewrite", "after", 1),
    ("nothing is forgotten", primaries.PrimaryDisposal, "_exchange", "before", 1),
    (
        "the old snapshots are forgotten, the old manifests are not",
        Repository,
        "forget",
        "after",
        2,
    ),
    ("all is forgotten and the new state is not stored", Repository, "backup_stream", "before", 1),
    ("a state is stored that nobody has recorded", Repository, "backup_stream", "after", 1),
    ("nothing is pruned", Repository, "prune", "before", 1),
    ("all is pruned and not recorded", Repository, "prune", "after", 1),
    ("nothing is proved", inside, "prove_repository", "before", 1),
    ("the catalog is not reduced", disposed, "reduce", "before", 1),
)
"""What is true when the process dies, and where it does so."""


@pytest.fixture
def ready(due_site: Callable[..., LabSite]) -> LabSite:
    """Return a site with two snapshots and an approved batch of all that is due."""
    lab = due_site(more=SOON)
    approve_all(lab)
    return lab


def _cut_off(lab: LabSite, point: tuple[str, Any, str, str, int], *, is_first: bool) -> bool:
    """Execute, or go on, until the process dies there; False if it never came there."""
    _, target, name, when, turn = point
    with pytest.MonkeyPatch.context() as patch:
        interfere(patch, target, name, turn=turn, **{when: die})
        with acting(lab, "it") as site:
            try:
                (execute if is_first else resume)(
                    site, BATCH, **({"dry_run": False} if is_first else {})
                )
            except Crash:
                return True
    return False


def _demand_nothing_kept_is_lost(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        assert batch_state(site) == "executing"
        assert {(lab.images / path).exists() for path in KEPT} == {True}
        files = snapshot_files(primary(site))
        assert files
        assert all(paths >= KEPT for paths in files.values())
        states = study_states(site)
        gone = [one for one in OLD if states[key_of(site, one)] == "primary_removed"]
        for one in gone:
            assert not (lab.images / one.folder).exists()


def _demand_all_gone(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        assert batch_state(site) == "complete"
        assert set(study_states(site).values()) == {"disposed"}
        engine = primary(site)
        assert traces(engine, OLD) == []
        assert set(map(frozenset, snapshot_files(engine).values())) == {frozenset(KEPT)}
        known = {
            row["id"] for row in lab.rows("SELECT id FROM snapshot WHERE forgotten_at IS NULL")
        }
        assert known == {one.id for one in engine.snapshots()}
        assert engine.check(read_data=True).errors == 0
    assert not list((lab.state / "disposals").iterdir())
    left = {str(path.relative_to(lab.images)) for path in lab.images.rglob("*") if path.is_file()}
    assert left == KEPT
    answer = lab.ask("backup")["stores"][0]
    assert (answer["outcome"], answer["files_new"]) == ("succeeded", 0)
    lab.run("check")


@pytest.mark.slow
def test_a_disposal_cut_off_at_every_step_in_turn_goes_on_each_time(ready: LabSite) -> None:
    for number, point in enumerate(POINTS):
        assert _cut_off(ready, point, is_first=number == 0), point[0]
        _demand_nothing_kept_is_lost(ready)
    with acting(ready, "it") as site:
        assert resume(site, BATCH).problems == []
        assert batch_state(site) == "residual", "files had gone that nobody had recorded"
        ready.run("backup")
        assert settle(site) == []
    _demand_all_gone(ready)


@pytest.mark.parametrize("point", [POINTS[6], POINTS[8]], ids=lambda point: point[2])
def test_a_night_between_a_cut_off_disposal_and_its_end_does_no_harm(
    ready: LabSite, point: tuple[str, Any, str, str, int]
) -> None:
    assert _cut_off(ready, point, is_first=True)
    ready.run("backup", expect=(0, 3))
    _demand_nothing_kept_is_lost(ready)
    with acting(ready, "it") as site:
        assert resume(site, BATCH).problems == []
    _demand_all_gone(ready)


def test_a_hold_on_what_has_left_the_snapshots_stops_the_rest_until_it_is_released(
    ready: LabSite,
) -> None:
    nothing_pruned = next(point for point in POINTS if point[0] == "nothing is pruned")
    assert _cut_off(ready, nothing_pruned, is_first=True)
    with acting(ready, "privacy") as site:
        wish = place.Wish("study", "24-CV-1", "a claim", study=key_of(site, OLD[0]))
        name = place.place(site, wish).hold.hold
    before = tree(ready.primary / "data")
    with acting(ready, "it") as site:
        assert resume(site, BATCH).stores == []
        with pytest.raises(RefusedError, match="paused by hold"):
            execute(site, BATCH, dry_run=False)
        assert batch_state(site) == "executing"
    assert tree(ready.primary / "data") == before, "what it had is still there"
    for actor in ("privacy", "it"):
        ready.run("--as", actor, "hold", "release", name, "--reason", "settled")
    with acting(ready, "it") as site:
        assert resume(site, BATCH).problems == []
    _demand_all_gone(ready)


def test_half_of_the_old_snapshots_forgotten_are_adopted_and_the_rest_done_again(
    ready: LabSite,
) -> None:
    real = Repository.forget

    def half(engine: Repository, ids: list[str]) -> None:
        real(engine, ids[:1])
        raise Crash

    with pytest.MonkeyPatch.context() as patch, acting(ready, "it") as site:
        patch.setattr(Repository, "forget", half)
        with pytest.raises(Crash):
            execute(site, BATCH, dry_run=False)
        assert "live_removed" in study_states(site).values()
    _demand_nothing_kept_is_lost(ready)
    with acting(ready, "it") as site:
        assert resume(site, BATCH).problems == []
    _demand_all_gone(ready)
    assert len(ready.ask("snapshots", STORE)["snapshots"]) == 3
