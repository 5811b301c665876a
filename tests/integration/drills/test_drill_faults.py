"""No false verified: one thing is broken per round, and each fault has its verdict."""

from __future__ import annotations

import filecmp
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.drill import Wish, drill
from orchestrator.actions.sandbox import Sandbox, leftovers
from orchestrator.dicom import decode_child
from orchestrator.drills.result import DrillResult
from orchestrator.errors import OrchestratorError
from tests.support.loop import LoopFileSystem
from tests.support.site import STORE, LabSite, wait_for

ROUNDS = 14


def make(site: LabSite, **wish: Any) -> DrillResult:
    with site.opened() as opened:
        return drill(opened, Wish(STORE, **wish))


def state_of(result: DrillResult) -> dict[str, str]:
    return {check.name: check.state for check in result.checks}


@contextmanager
def broken(path: Path, how: str, draw: random.Random) -> Iterator[None]:
    """Break one file of a copy, and mend it again."""
    kept = path.read_bytes()
    mode = path.stat().st_mode
    path.chmod(0o600)
    if how == "lose":
        path.unlink()
    elif how == "cut":
        os.truncate(path, draw.randrange(len(kept)))
    else:
        at = draw.randrange(len(kept))
        spoilt = bytes([kept[at] ^ (1 << draw.randrange(8))])
        path.write_bytes(kept[:at] + spoilt + kept[at + 1 :])
    try:
        yield
    finally:
        path.write_bytes(kept)
        path.chmod(mode)


def comes_back(site: LabSite, to: Path) -> bool:
    """Say whether plain restic restores the images whole: what no drill may contradict."""
    with site.opened() as opened, opened.catalog.reading() as session:
        from orchestrator.catalog import snapshots

        row = snapshots.newest_complete(session, STORE, now=opened.clock.now())
        assert row is not None
        engine = opened.copy_engine(STORE, str(site.primary), "disk")
    shutil.rmtree(to, ignore_errors=True)
    try:
        engine.restore(row.id, to)
    except OrchestratorError:
        return False
    return all(
        filecmp.cmp(path, to / path.relative_to(site.images), shallow=False)
        for path in site.images.rglob("*")
        if path.is_file()
    )


def test_a_copy_that_is_broken_anywhere_is_never_falsely_verified(
    site: LabSite, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    draw = random.Random(seed)
    files = sorted(path for path in site.primary.rglob("*") if path.is_file())
    caught: dict[str, int] = {}
    harmless = 0
    for number in range(ROUNDS):
        # data packs are many, the other kinds few: each kind has its turn
        kinds = sorted({path.relative_to(site.primary).parts[0] for path in files})
        kind = kinds[number % len(kinds)]
        path = draw.choice([one for one in files if kind in one.relative_to(site.primary).parts])
        how = draw.choice(["flip", "cut", "lose"])
        what = f"seed {seed}, round {number}: {how} {path.relative_to(site.primary)}"
        with broken(path, how, draw):
            result = make(site, scope="all")
            if result.verdict == "verified":
                # It was of no account: the state's own pack, or another part that is not read.
                assert comes_back(site, tmp_path / "out"), f"{what}: falsely verified"
                harmless += 1
            else:
                caught[f"{how} {kind}"] = caught.get(f"{how} {kind}", 0) + 1
                assert result.exit_code not in (0, 3), what
                assert result.reason, what
    assert make(site).verdict == "verified", f"seed {seed}: it was not mended"
    print(
        f"seed {seed}, {ROUNDS} rounds: {sum(caught.values())} caught {caught}, "
        f"{harmless} of no account"
    )
    assert sum(caught.values()) >= ROUNDS // 2, f"seed {seed}: {caught}"


@pytest.mark.parametrize("how", ["flip", "cut", "lose"])
def test_a_broken_pack_is_damage(site: LabSite, how: str) -> None:
    draw = random.Random(how)
    pack = max((path for path in site.primary.glob("data/*/*")), key=lambda p: p.stat().st_size)
    with broken(pack, how, draw):
        result = make(site)
    assert (result.verdict, result.exit_code) == ("not_verified", 4), result.reason


@pytest.fixture
def small_disk(site: LabSite, make_loop: Callable[..., LoopFileSystem], tmp_path: Path) -> Path:
    """Return a file system of 14 MiB that the site's drills restore to."""
    loop = make_loop(size_mib=14)
    folder = loop.mount_point / "drills"
    site.write(more=f"[drills]\nsandbox = {str(folder)!r}\n")
    return folder


def test_a_sandbox_that_is_too_small_could_not_run(site: LabSite, small_disk: Path) -> None:
    result = make(site)
    assert (result.verdict, result.exit_code) == ("could_not_run", 1)
    assert "MiB" in result.reason
    assert not list(small_disk.iterdir())


def test_a_sandbox_that_fills_up_could_not_run(
    site: LabSite, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sandbox, "require_room", lambda *_: None)
    small_disk.mkdir(mode=0o700)
    ballast = small_disk.parent / "ballast"
    free = shutil.disk_usage(small_disk).free
    ballast.write_bytes(bytes(free - 64 * 1024))
    result = make(site)
    assert (result.verdict, result.exit_code) == ("could_not_run", 1), result.reason
    assert not list(small_disk.iterdir())


def test_a_sandbox_inside_a_copy_is_refused(site: LabSite) -> None:
    link = site.folder / "elsewhere"
    link.symlink_to(site.folder / "copies" / "disk")
    site.write(more=f"[drills]\nsandbox = {str(link / 'drills')!r}\n")
    result = make(site)
    assert (result.verdict, result.exit_code) == ("could_not_run", 5)
    assert not (site.folder / "copies/disk/drills").exists()


DIES = """
import socket, sys
pipe = socket.socket(fileno=int(sys.argv[1]))
pipe.sendall(b'{"state":"ready"}\\n')
pipe.recv(1)
"""


@pytest.mark.parametrize(("text", "state"), [(DIES, "failed"), ("raise SystemExit(3)", "skipped")])
def test_a_decoder_that_dies_is_not_verified(
    site: LabSite, monkeypatch: pytest.MonkeyPatch, text: str, state: str
) -> None:
    monkeypatch.setattr(decode_child, "program", lambda: [sys.executable, "-c", text])
    result = make(site)
    assert state_of(result)["content"] == "passed"
    assert state_of(result)["pixels"] == state
    assert (result.verdict, result.exit_code) == ("not_verified", 1)


KILLED = """
import sys, time
from pathlib import Path
from orchestrator.actions.drill import Wish, drill
from orchestrator.engines.restic.repository import Repository
from orchestrator.wiring import open_site
real = Repository.restore
def restore(self, snapshot, target, **more):
    real(self, snapshot, target, **more)
    print("restored", flush=True)
    time.sleep(600)
Repository.restore = restore
drill(open_site(Path(sys.argv[1])), Wish("xrays"))
"""


def test_a_killed_drill_leaves_nothing_that_the_next_one_does_not_clear(site: LabSite) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(site.file)], stdout=subprocess.PIPE, env=site.env
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"restored\n"
        (left,) = (site.state / "drills").iterdir()
        assert (left.stat().st_mode & 0o777) == 0o700
        assert list((left / "files").rglob("*.dcm"))
        with site.opened() as opened:
            assert leftovers(opened) == []  # it is alive
        child.send_signal(signal.SIGKILL)
    with site.opened() as opened:
        assert wait_for(lambda: leftovers(opened)) == [left]
    assert make(site).verdict == "verified"
    assert not left.exists()
    rows = site.rows("SELECT verdict, exit_code FROM drill ORDER BY started_at")
    assert [(row["verdict"], row["exit_code"]) for row in rows] == [
        ("could_not_run", 130),
        ("verified", 0),
    ]
