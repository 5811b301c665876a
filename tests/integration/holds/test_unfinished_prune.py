"""A rotation that was killed between forgetting and pruning, and a hold that came after that."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.actions import forgotten
from orchestrator.actions.backup import back_up
from orchestrator.actions.disposal.look import look
from orchestrator.actions.rotate import rotate
from orchestrator.actions.run import run
from orchestrator.actions.site import Site
from orchestrator.catalog import repositories
from orchestrator.engines.restic.repository import Repository
from orchestrator.errors import RefusedError
from tests.integration.disposal.executing import Crash, die, interfere
from tests.integration.drills.conftest import keep_sound_images
from tests.integration.holds.test_paths import KEEP_ONE, SECOND, end, hold, names, night, study_of
from tests.support.site import STORE, LabSite, MakeSite

BEFORE_THE_PRUNE = "orchestrator.engines.restic.repository:Repository.prune"
BEFORE_THE_COMMIT = "orchestrator.catalog.snapshots:mark_forgotten"

_DIES = """
import importlib, os, signal, sys
from pathlib import Path
from orchestrator.actions.rotate import rotate
from orchestrator.wiring import open_site

module, _, name = sys.argv[2].partition(":")
where = importlib.import_module(module)
*way, last = name.split(".")
for step in way:
    where = getattr(where, step)
setattr(where, last, lambda *given, **named: os.kill(os.getpid(), signal.SIGKILL))
rotate(open_site(Path(sys.argv[1])), ["xrays"], dry_run=False)
"""


def rotation_that_dies(lab: LabSite, where: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _DIES, lab.file, where],
        env=lab.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def two_nights(lab: LabSite, site: Site) -> tuple[str, str, bytes]:
    """Return a study, the one snapshot that has it and will be rotated out, and its image."""
    image = lab.images / "p0" / "study" / "000.dcm"
    content = image.read_bytes()
    study = study_of(site, 0)
    first = night(site)
    image.unlink()
    night(site)
    return study, first, content


def packs(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("data/*/*")}


def image_in(site: Site, folder: Path, snapshot: str) -> bytes:
    engine = site.copy_engine(STORE, str(folder), "copy")
    engine.check()
    return b"".join(engine.dump(snapshot, "/p0/study/000.dcm"))


@pytest.mark.parametrize(
    ("where", "is_cut_off"),
    [(BEFORE_THE_PRUNE, False), (BEFORE_THE_PRUNE, True), (BEFORE_THE_COMMIT, False)],
)
def test_what_is_on_hold_by_now_comes_back_from_a_replica_before_the_prune_goes_on(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, where: str, *, is_cut_off: bool
) -> None:
    lab = make_site(more=SECOND + KEEP_ONE)
    keep_sound_images(lab.images)
    lab.ask("init", lab.folder)
    with lab.opened() as site:
        study, first, content = two_nights(lab, site)
        rotation_that_dies(lab, where)
        assert first not in names(lab.primary), "it was forgotten"
        placed = hold(site, study=study)

        site.actor = "system"
        if is_cut_off:  # it is there again, and nobody has recorded it
            with monkeypatch.context() as patch:
                interfere(patch, forgotten, "_bring_back", after=die)
                with pytest.raises(Crash):
                    back_up(site, [STORE])
        (result,) = back_up(site, [STORE])
        assert (result.outcome, result.error) == ("succeeded", None)
        assert first in names(lab.primary)
        assert image_in(site, lab.primary, first) == content
        (rotation,) = rotate(site, [STORE], dry_run=False)
        assert rotation.keep[first] == [f"on hold {placed.hold.hold}"]
    kept = lab.rows("SELECT forgotten_at FROM snapshot WHERE id = ?", first)
    assert kept == [{"forgotten_at": None}]
    assert [one["damaged"] for one in lab.ask("check")["copies"]] == [[], []]


def test_nothing_is_pruned_while_only_the_packs_have_what_is_on_hold(make_site: MakeSite) -> None:
    lab = make_site(more=KEEP_ONE)
    keep_sound_images(lab.images)
    with lab.opened() as site:
        study, first, content = two_nights(lab, site)
        snapshot = (lab.primary / "snapshots" / first).read_bytes()
        rotation_that_dies(lab, BEFORE_THE_PRUNE)
        before = packs(lab.primary)
        placed = hold(site, study=study)
        site.actor = "system"
        for _ in range(2):
            (result,) = back_up(site, [STORE])
            assert (result.outcome, result.error) == ("partial", None)
            assert packs(lab.primary) >= before
        (run,) = lab.runs("backup")[-1:]
        assert f"on hold {placed.hold.hold}: no other copy has them whole" in run["reason"]
        with pytest.raises(RefusedError, match=f"nothing is pruned.*{placed.hold.hold}") as refused:
            rotate(site, [STORE], dry_run=False)
        assert refused.value.hint == "orchestrator hold list"
        assert [one["damaged"] for one in lab.ask("check")["copies"]] == [[]]
        elsewhere = lab.folder / "elsewhere"
        shutil.copytree(lab.primary, elsewhere)
        (elsewhere / "snapshots" / first).write_bytes(snapshot)
        assert image_in(site, elsewhere, first) == content, "all it needs is still there"

        end(site, placed.hold.hold)
        site.actor = "system"
        (result,) = back_up(site, [STORE])
        assert (result.outcome, result.error) == ("succeeded", None)
        assert not packs(lab.primary) >= before, "released, it was pruned"
        site.primary_engine(STORE, STORE).check()


def test_a_snapshot_whose_packs_have_gone_is_not_brought_back_as_a_shell(
    make_site: MakeSite,
) -> None:
    lab = make_site(more=SECOND + KEEP_ONE)
    keep_sound_images(lab.images)
    lab.ask("init", lab.folder)
    with lab.opened() as site:
        study, first, content = two_nights(lab, site)
        rotation_that_dies(lab, BEFORE_THE_PRUNE)
        pruned = lab.folder / "pruned"
        shutil.copytree(lab.primary, pruned)
        Repository(
            site.restic, str(pruned), lambda: site.keyring.password(STORE), name="pruned"
        ).prune(max_unused="0")
        gone = min(packs(lab.primary) - packs(pruned))
        (lab.primary / "data" / gone[:2] / gone).unlink()
        placed = hold(site, study=study)
        site.actor = "system"
        for _ in range(2):
            (result,) = back_up(site, [STORE])
            assert (result.outcome, result.error) == ("partial", None)
        (run,) = lab.runs("backup")[-1:]
        words = f"on hold {placed.hold.hold}; some of what they need was removed before"
        assert words in run["reason"]
        assert "only copy disk2 has them whole" in run["reason"]
        assert first not in names(lab.primary)
        second = lab.folder / "copies" / "disk2" / STORE
        assert image_in(site, second, first) == content


def test_a_disposal_forgets_no_held_snapshot_that_was_put_back_by_hand(
    make_site: MakeSite,
) -> None:
    lab = make_site(more=KEEP_ONE)
    keep_sound_images(lab.images)
    with lab.opened() as site:
        study, first, content = two_nights(lab, site)
        older = lab.folder / "older"
        shutil.copytree(lab.primary, older)
        site.actor = "system"
        rotate(site, [STORE], dry_run=False)
        assert first not in names(lab.primary)
        shutil.copytree(older, lab.primary, dirs_exist_ok=True)

        def looked() -> list[str]:
            site.actor = "system"
            with run(site, "disposal", store=STORE) as current, site.catalog.reading() as session:
                (row,) = repositories.of_store(session, STORE)
                return look(current, row, site.primary_engine(STORE, STORE)).leftovers

        assert first in looked(), "nobody holds it, so it goes again"
        placed = hold(site, study=study)
        with pytest.raises(RefusedError, match=f"{first[:8]}.*on hold {placed.hold.hold}"):
            looked()
        assert image_in(site, lab.primary, first) == content
