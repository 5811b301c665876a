"""No false verified: whatever is broken, a drill says so and leaves nothing behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.actions.drills.drill import drill
from orchestrator.actions.drills.sandbox import leftovers
from orchestrator.actions.drills.wish import Wish
from orchestrator.catalog import drills
from orchestrator.drills.result import DrillResult
from orchestrator.drills.scope import slice_of
from tests.integration.drills.faults import FAULTS, Scene, Shoulder, same_kit
from tests.support.clock import ShiftedClock
from tests.support.loop import LoopFileSystem
from tests.support.seed import seed
from tests.support.site import STORE, LabSite, MakeSite, kill_group, wait_for

ROUNDS = int(os.environ.get("DRILL_FAULT_ROUNDS", len(FAULTS)))
SEED = seed("DRILL_FAULT_SEED")


@dataclass
class Lab:
    """Breaks one thing per round on one site.

    Attributes:
        site: The site.
        scopes: What a drill may be asked to restore.
        kit: A copy of the site's kit.
        foreign_kit: Another site's.
        disk: A small file system.
        ended: How drills ended, by fault.
    """

    site: LabSite
    scopes: list[str]
    kit: Path
    foreign_kit: Path
    disk: LoopFileSystem
    ended: dict[str, Counter[str]] = field(default_factory=dict)

    def round(self, name: str, seed: str) -> None:
        """Break one thing, drill, judge the drill, mend it."""
        draw = random.Random(seed)
        what = f"seed {seed}: {name}"
        fault = FAULTS[name]
        shoulder = Shoulder(self.site.images)
        with pytest.MonkeyPatch.context() as patch:
            clock = ShiftedClock()
            wish = {"scope": draw.choice(self.scopes), "seed": draw.randrange(2**32)}
            scene = Scene(
                self.site, draw, patch, clock, wish, self.kit, self.foreign_kit, self.disk
            )
            with fault.make(scene):
                shoulder.look(patch)
                with self.site.opened(clock) as opened:
                    result = drill(opened, Wish(STORE, **scene.wish))
                kit = scene.wish.get("kit")
                as_good = kit is None or same_kit(kit, self.kit)
        what += f", scope {result.scope}: {result.verdict}, {result.exit_code}: {result.reason}"
        if result.verdict == "verified":
            assert fault.may_miss, f"FALSELY VERIFIED: {what}"
            assert shoulder.whole, f"FALSELY VERIFIED: {what}"
            assert (result.files > 0, result.files) == (as_good, shoulder.files), what
        else:
            assert (result.verdict, result.exit_code) in fault.outcomes, what
            assert result.reason, what
        self.left_nothing(what)
        word = f"{result.verdict} {result.exit_code}"
        self.ended.setdefault(name, Counter())[word] += 1

    def left_nothing(self, what: str) -> None:
        """See that no file, process or thread of a drill is left."""
        for folder in (self.site.state / "drills", self.site.state / "spool"):
            assert not folder.exists() or not list(folder.iterdir()), what
        assert not self.site.restic_processes(), what
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        assert not [one for one in children if is_of_a_drill(int(one))], what
        assert not [one for one in threading.enumerate() if one.name.startswith("drill-")], what

    def say(self) -> str:
        """Say what was broken how often and what came of it."""
        total: Counter[str] = sum(self.ended.values(), Counter())
        lines = [f"  {name}: {dict(counts)}" for name, counts in sorted(self.ended.items())]
        return "\n".join([f"seed {SEED}, {ROUNDS} rounds: {dict(total)}", *lines])


def is_of_a_drill(pid: int) -> bool:
    """Say whether a child is a decoder; workers that read files belong to the process."""
    try:
        return b"socket" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


@pytest.fixture
def lab(
    site: LabSite, make_site: MakeSite, make_loop: Callable[..., LoopFileSystem], tmp_path: Path
) -> Iterator[Lab]:
    other = make_site()
    shutil.rmtree(other.state)
    shutil.rmtree(other.folder / "copies")
    other.run("init", other.folder)
    kits = [one.state / "recovery-kit" / "recovery-kit.txt" for one in (site, other)]
    with site.opened() as opened, opened.catalog.reading() as session:
        members = list(drills.members(session, STORE))
        studies = list(drills.study_keys(session, STORE))
    slices = {f"{slice_of(one, of)}/{of}" for one in members for of in (2, 3)}
    scopes = ["all", "all", "all", *sorted(slices), *(f"study:{one}" for one in sorted(studies))]
    made = Lab(site, scopes, kits[0], kits[1], make_loop(size_mib=14))
    yield made
    print(made.say())


def make(site: LabSite) -> DrillResult:
    with site.opened() as opened:
        return drill(opened, Wish(STORE))


@pytest.mark.slow
def test_no_fault_whatever_is_falsely_verified(lab: Lab) -> None:
    order = random.Random(SEED)
    names: list[str] = []
    wrong: list[str] = []
    for number in range(ROUNDS):
        if not names:  # each fault has its turn, in an order of the seed's
            names = sorted(FAULTS)
            order.shuffle(names)
        try:
            lab.round(names.pop(), f"{SEED}/{number}")
        except AssertionError as error:
            wrong.append(str(error).splitlines()[0])
    assert not wrong, "\n".join(wrong)
    assert make(lab.site).verdict == "verified", f"seed {SEED}: it was not mended"
    caught = {
        name
        for name, counts in lab.ended.items()
        if any(not word.startswith("verified") for word in counts)
    }
    never = {name for name in lab.ended if not FAULTS[name].may_miss} - caught
    assert not never, f"seed {SEED}"


def test_a_sandbox_inside_a_copy_is_refused(site: LabSite) -> None:
    link = site.folder / "elsewhere"
    link.symlink_to(site.folder / "copies" / "disk")
    site.write(more=f"[drills]\nsandbox = {str(link / 'drills')!r}\n")
    result = make(site)
    assert (result.verdict, result.exit_code) == ("could_not_run", 5)
    assert not (site.folder / "copies/disk/drills").exists()


KILLED = """
import sys, time
from pathlib import Path
from orchestrator.actions.drills import bringing_back
from orchestrator.actions.drills.wish import Wish
from orchestrator.actions.drills.drill import drill
from orchestrator.wiring import open_site
class ReadingAlong(bringing_back.ReadingAlong):
    def take(self, path):
        print("restoring", flush=True)
        time.sleep(600)
bringing_back.ReadingAlong = ReadingAlong
drill(open_site(Path(sys.argv[1])), Wish("xrays"))
"""


def test_a_drill_killed_while_restic_restores_is_cleared_by_the_next_one(site: LabSite) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(site.file)], stdout=subprocess.PIPE, env=site.env
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"restoring\n"
        (left,) = (site.state / "drills").iterdir()
        assert (left.stat().st_mode & 0o777) == 0o700
        with site.opened() as opened:
            assert leftovers(opened) == []  # it is alive
        child.send_signal(signal.SIGKILL)
    with site.opened() as opened:
        assert wait_for(lambda: leftovers(opened)) == [left]
    assert make(site).verdict == "verified"
    assert not left.exists()
    assert not site.restic_processes()
    rows = site.rows("SELECT verdict, exit_code FROM drill ORDER BY started_at")
    assert [(row["verdict"], row["exit_code"]) for row in rows] == [
        ("could_not_run", 130),
        ("verified", 0),
    ]


def test_drills_killed_at_any_moment_are_recorded_and_cleared(site: LabSite) -> None:
    draw = random.Random(SEED)
    for moment in draw.sample(range(4), k=3):
        process = site.start("drill", "run", STORE, warm=True)
        while progress_of(site, process) < moment:
            time.sleep(0.001)
        kill_group(process)
    result = make(site)
    assert result.verdict == "verified", f"seed {SEED}: {result.reason}"
    left = site.rows("SELECT id, verdict, ended_at FROM drill WHERE id != ?", result.drill)
    assert all(row["ended_at"] for row in left), f"seed {SEED}: {left}"
    assert {row["verdict"] for row in left} <= {"could_not_run", "verified"}, f"seed {SEED}"
    assert all(run["ended_at"] for run in site.runs("drill")), f"seed {SEED}"
    assert not list((site.state / "drills").iterdir())


def progress_of(site: LabSite, process: subprocess.Popen[str]) -> int:
    """Say how far a drill has come: 0 begun, 1 sandbox, 2 restoring, 3 restored or ended."""
    if process.poll() is not None:
        return 3
    boxes = list((site.state / "drills").glob("*")) if (site.state / "drills").exists() else []
    if not boxes:
        return 0
    # A drill that is through clears its sandbox: a walk passes over folders that are gone by then.
    restored = [name for _, _, names in os.walk(boxes[0] / "files") for name in names]
    return 1 if not restored else 2 if len(restored) < 6 else 3
