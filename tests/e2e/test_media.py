"""Offline media on real file systems: whose turn it is, custody, and what is never written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions import doctor, media, replicate
from orchestrator.actions.status import status
from tests.support.clock import ShiftedClock
from tests.support.loop import LoopFileSystem, loop_file_system
from tests.support.site import STORE, LabSite, MakeSite

Loop = Callable[..., LoopFileSystem]


@pytest.fixture
def loops(tmp_path: Path) -> Iterator[Loop]:
    with ExitStack() as stack:
        yield lambda at, **more: stack.enter_context(
            loop_file_system(tmp_path, size_mib=64, mount_point=at, **more)
        )


def add(site: LabSite, loop: LoopFileSystem, label: str) -> None:
    site.run("--as", "it", "medium", "add", "rotation", loop.mount_point, "--label", label)


def register(site: LabSite) -> dict[str, dict[str, Any]]:
    return {one["label"]: one for one in site.ask("medium", "list", "--retired")["media"]}


def on(loop: LoopFileSystem) -> set[str]:
    """Return the snapshots on a medium."""
    folder = loop.mount_point / "imaging-orchestrator" / STORE / "snapshots"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_two_media_take_turns_and_one_that_stays_away_is_told(
    make_site: MakeSite, loops: Loop
) -> None:
    site = make_site()
    where = site.folder / "media"
    red, blue = loops(where / "red"), loops(where / "blue")
    site.write(search=where)
    add(site, red, "red")
    add(site, blue, "blue")

    site.ask("backup")
    assert (len(on(red)), len(on(blue))) == (3, 0)
    site.ask("replicate", "rotation")  # red was here just now: it is blue's turn
    assert on(blue) == on(red)
    assert not any(one["overdue"] for one in register(site).values())

    site.run("--as", "it", "medium", "release", "blue", "--location", "safe", expect=(0, 10, 2))
    with site.opened() as opened:
        connected = {m.row.label for m in media.listing(opened) if m.connected}
    away = ({"red", "blue"} - connected).pop()
    here = red if away == "blue" else blue
    gone = blue if away == "blue" else red
    assert register(site)[away]["state"] == "away"
    assert register(site)[away]["location"] == "safe"

    with site.opened(ShiftedClock(timedelta(days=8))) as opened:
        replicate.replicate(opened, [STORE], copies=["rotation"])
        facts = {m.row.label: m for m in media.listing(opened)}
        assert (facts[away].overdue, facts["red" if away == "blue" else "blue"].overdue) == (
            True,
            False,
        )
        reasons = status(opened, [STORE])[0].reasons
        assert any(f"medium {away} is overdue" in reason for reason in reasons)
        found = {one.name: one.state for one in doctor.examine(opened)}
        assert found[f"medium {away}"] == "fail"

        gone.mount()
        replicate.replicate(opened, [STORE], copies=["rotation"])  # overdue comes first
        facts = {m.row.label: m for m in media.listing(opened)}
        assert not facts[away].overdue
        assert facts[away].row.state == "in_use"  # nobody had to say so
        assert not any("overdue" in reason for reason in status(opened, [STORE])[0].reasons)
    events = site.rows("SELECT event FROM medium_event ORDER BY id")
    assert [row["event"] for row in events][-2:] == ["released", "connected"]
    assert on(here) == on(gone)


def test_retired_medium_is_neither_written_nor_counted(make_site: MakeSite, loops: Loop) -> None:
    site = make_site()
    where = site.folder / "media"
    red = loops(where / "red")
    site.write(search=where)
    add(site, red, "red")
    site.ask("backup")
    assert "last medium" in site.run("medium", "retire", "red", expect=5).error["message"]
    blue = loops(where / "blue")
    add(site, blue, "blue")
    error = site.run("medium", "retire", "red", expect=5).error
    assert "only medium that holds a snapshot" in error["message"]
    site.ask("replicate", "rotation")
    site.ask("medium", "retire", "red", "--note", "scratched")
    assert site.copies()["rotation"]["medium"] == "blue"
    blue.unmount()
    before = on(red)
    (site.images / "new.bin").write_bytes(b"new")
    done = site.ask("backup")
    states = {copy["copy"]: copy["state"] for copy in done["stores"][0]["copies"]}
    assert states["rotation"] == "absent"
    assert on(red) == before
    assert site.copies()["rotation"]["medium"] == "blue"


def test_medium_of_another_site_and_a_bare_mount_point_stay_untouched(
    make_site: MakeSite, loops: Loop
) -> None:
    mine = make_site(medium=True)
    mine.ask("backup")
    assert mine.medium is not None
    mine.medium.unmount()
    where = mine.medium.mount_point

    stranger = loops(where.parent / "stranger")
    other = foreign_site(mine)
    other.run("--as", "it", "medium", "add", "rotation", stranger.mount_point, "--label", "x")
    before = {path.name for path in stranger.mount_point.iterdir()}

    done = mine.ask("backup")
    copy = next(c for c in done["stores"][0]["copies"] if c["copy"] == "rotation")
    assert copy["state"] == "absent"
    assert list(where.iterdir()) == []
    assert {path.name for path in stranger.mount_point.iterdir()} == before
    assert on(stranger) == set()


def foreign_site(near: LabSite) -> LabSite:
    """Make a site from nothing, with keys of its own, that looks where another one looks."""
    folder = near.folder.parent / "foreign"
    folder.mkdir(mode=0o700)
    env = {**near.env, "ORCHESTRATOR_SITE": str(folder / "site.toml")}
    site = LabSite(folder, type(near.values)(), env)
    site.images.mkdir()
    (site.images / "a.txt").write_text("a")
    site.write(search=near.folder / "media")
    site.run("init", folder)
    return site


def test_plain_folder_never_counts(make_site: MakeSite) -> None:
    site = make_site()
    folder = site.folder / "media" / "folder"
    folder.mkdir(parents=True)
    site.write(search=folder.parent)
    words = ("--as", "it", "medium", "add", "rotation", folder, "--label", "f")
    assert site.run(*words, expect=5).error["exit_code"] == 5
    site.run(*words, "--plain-folder")
    site.ask("backup")
    (one,) = site.ask("status")["stores"]
    assert one["verdict"] == "not_met"
    assert any("plain directory is not a separate medium" in reason for reason in one["reasons"])
    received = ("--as", "it", "medium", "receive", "f")
    with site.opened() as opened:
        ledger = opened.ledger.folder
    (newest,) = ledger.glob(f"tile/entries/000.p/{len(site.ask('ledger', 'list')['entries'])}")
    whole = newest.read_bytes()
    newest.chmod(0o600)
    newest.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    # It is back, and the register says so; that the ledger does not say so yet is not kept quiet.
    site.run(*received, expect=3)
    newest.write_bytes(whole)
    site.run(*received)
    assert len(site.ask("ledger", "list", "--type", "medium.received")["entries"]) == 2


def test_medium_is_attached_and_let_go_as_the_site_says(
    make_site: MakeSite, loops: Loop, tmp_path: Path
) -> None:
    site = make_site()
    where = site.folder / "media"
    red = loops(where / "red")
    site.write(search=where)
    add(site, red, "red")
    red.unmount()
    off = tmp_path / "off"
    power = tmp_path / "power-off"
    power.write_text(f'#!/bin/sh\necho "$1" >> {off}\n')
    power.chmod(0o755)
    table = (
        f'[copies.rotation]\nrole = "offline"\nsearch = ["{where}"]\ndue_every = "7d"\n'
        f'mount = ["mount", "{red.device}", "{red.mount_point}"]\n'
        f'unmount = ["umount", "{{mount_point}}"]\npower_off = ["{power}", "{{device}}"]\n'
    )
    site.write(search=None, more=table)
    done = site.ask("backup")
    states = {copy["copy"]: copy["state"] for copy in done["stores"][0]["copies"]}
    assert states["rotation"] == "proven"
    assert not red.mount_point.is_mount()
    assert off.read_text().split() == [red.device]

    error = site.run(
        "restore",
        STORE,
        "--copy",
        "rotation",
        "--snapshot",
        "ffff",
        "--to",
        site.folder / "x",
        expect=10,
    ).error
    assert error["exit_code"] == 10
    assert not red.mount_point.is_mount()

    site.write(more=table.replace(red.device, "/dev/none"))
    done = site.ask("backup")  # what cannot be mounted is away: no failure
    states = {copy["copy"]: copy["state"] for copy in done["stores"][0]["copies"]}
    assert (states["rotation"], done["outcome"]) == ("absent", "succeeded")
    assert site.run("medium", "mount", "rotation", expect=1).error["error"] == "UnreachableError"
