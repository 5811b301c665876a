"""A copy that is older or newer than the catalog says what it holds, and what to type."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.actions.backup import back_up
from orchestrator.actions.restore import Wish, restore
from orchestrator.errors import NotFoundError
from tests.integration.drills.conftest import keep_sound_images
from tests.support.site import STORE, LabSite, MakeSite

SECOND = '[copies.attic]\nrole = "local"\npath = "copies/attic"\n'


def night(lab: LabSite, name: str, *copies: str) -> str:
    (lab.images / name).write_bytes(name.encode() * 100)
    with lab.opened() as site:
        (done,) = back_up(site, [STORE], copies=list(copies))
    assert done.error is None
    assert done.snapshot is not None
    return done.snapshot


def test_a_copy_that_lacks_a_snapshot_names_what_it_holds_and_the_command(
    make_site: MakeSite, tmp_path: Path
) -> None:
    lab = make_site(more=SECOND)
    keep_sound_images(lab.images)
    lab.ask("init", lab.folder)
    first = night(lab, "one", "disk", "attic")
    before = lab.folder / "before.sqlite"
    shutil.copy(lab.state / "catalog.sqlite", before)
    second = night(lab, "two", "disk")

    wish = Wish(STORE, tmp_path / "a", copy="attic")
    with lab.opened() as site, pytest.raises(NotFoundError) as older:
        restore(site, wish)
    assert older.value.message.startswith(
        f"copy attic: it does not hold snapshot {second[:8]}; the newest it holds is {first[:8]} of"
    )
    command = f"restore {STORE} --to DIR --copy attic --snapshot {first[:8]}"
    assert older.value.hint is not None
    assert older.value.hint.startswith(f"orchestrator {command}; ")
    to = tmp_path / "b"
    done = lab.ask(*(str(to) if word == "DIR" else word for word in command.split()))
    assert done["verified"]
    assert not (to / "two").exists()

    lab.ask("replicate", "attic")
    shutil.rmtree(lab.folder / "copies" / "disk")  # and with it what the catalog could be told by
    for path in lab.state.glob("catalog.sqlite*"):
        path.unlink()
    shutil.copy(before, lab.state / "catalog.sqlite")
    (lab.folder / "copies" / "attic" / STORE / "snapshots" / first).unlink()
    with lab.opened() as site, pytest.raises(NotFoundError) as newer:
        restore(site, wish)
    assert "it holds 3 that the catalog does not know" in newer.value.message
    assert "orchestrator catalog rebuild --copy attic;" in str(newer.value.hint)
