"""What can go wrong around a drill: each fault breaks one thing, somewhere, and mends it again.

Place, byte and manner come from the scene's lots, so that a seed repeats them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.drills.sandbox import Sandbox
from orchestrator.actions.drills.work import DrillWork
from orchestrator.dicom import decode_child
from orchestrator.engines.decoder import Decoder
from orchestrator.engines.restic.repository import Repository
from orchestrator.errors import OrchestratorError
from orchestrator.keys.kit import load_kit
from orchestrator.keys.kit_contents import checksum
from tests.support.clock import ShiftedClock
from tests.support.loop import LoopFileSystem
from tests.support.site import STORE, LabSite

Outcome = tuple[str, int]

DAMAGE: Outcome = ("not_verified", 4)
UNPROVEN: Outcome = ("not_verified", 1)
NOT_RUN: Outcome = ("could_not_run", 1)
NO_KEY: Outcome = ("could_not_run", 12)
BAD_FILE: Outcome = ("could_not_run", 2)


@dataclass
class Scene:
    """What a fault works on.

    Attributes:
        site: A site with one complete backup.
        draw: Its lots.
        patch: For what is done while the drill runs; undone after it.
        clock: The drill's clock.
        wish: What is asked of the drill besides the store; a fault may change it.
        kit: The site's kit.
        foreign_kit: Another site's.
        disk: A small file system of its own.
    """

    site: LabSite
    draw: random.Random
    patch: pytest.MonkeyPatch
    clock: ShiftedClock
    wish: dict[str, Any]
    kit: Path
    foreign_kit: Path
    disk: LoopFileSystem

    def never_empty(self) -> None:
        """Restore something: which studies are in a slice depends on the site's key."""
        if "/" in self.wish["scope"]:
            self.wish["scope"] = "all"

    def after_restore(self, spoil: Callable[[Path], object]) -> None:
        """Do something to what restic has restored, as a broken disk or an intruder would."""
        real = Repository.restore

        def restore(engine: Repository, snapshot: str, target: Path, **more: Any) -> Any:
            summary = real(engine, snapshot, target, **more)
            spoil(target)
            return summary

        self.patch.setattr(Repository, "restore", restore)


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        make: Breaks one thing and mends it when its block ends.
        outcomes: How a drill may end then.
        may_miss: Whether what was broken may be of no account for this drill.
    """

    make: Callable[[Scene], AbstractContextManager[None]]
    outcomes: frozenset[Outcome]
    may_miss: bool = False


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, *outcomes: Outcome, may_miss: bool = False
) -> Callable[[Callable[[Scene], Iterator[None]]], Callable[[Scene], Iterator[None]]]:
    """Enter a fault into the list."""

    def enter(make: Callable[[Scene], Iterator[None]]) -> Callable[[Scene], Iterator[None]]:
        FAULTS[name] = Fault(contextmanager(make), frozenset(outcomes), may_miss)
        return make

    return enter


# What a copy suffers


def spoil_file(path: Path, how: str, draw: random.Random) -> None:
    """Flip one bit of a file, cut it short, let it grow, or lose it; its times stay."""
    before = path.stat()
    content = path.read_bytes()
    path.chmod(0o600)
    if how == "lose":
        path.unlink()
        return
    if how == "cut":
        content = content[: draw.randrange(len(content))]
    elif how == "grow":
        content += draw.randbytes(draw.randrange(1, 64))
    else:
        at = draw.randrange(len(content))
        content = content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextmanager
def broken(path: Path, how: str, draw: random.Random) -> Iterator[None]:
    """Spoil one file of a copy, and put it back."""
    kept, mode = path.read_bytes(), path.stat().st_mode
    spoil_file(path, how, draw)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(kept)
        path.chmod(mode)


for _kind, _pattern, _outcomes in (
    ("pack", "data/*/*", (DAMAGE,)),
    ("index", "index/*", (DAMAGE,)),
    ("snapshot", "snapshots/*", (DAMAGE, UNPROVEN)),
    ("key", "keys/*", (DAMAGE, NO_KEY)),
    ("config", "config", (DAMAGE,)),
):

    def _in_copy(scene: Scene, pattern: str = _pattern) -> Iterator[None]:
        path = scene.draw.choice(sorted(scene.site.primary.glob(pattern)))
        with broken(path, scene.draw.choice(["flip", "cut", "grow", "lose"]), scene.draw):
            yield

    FAULTS[f"copy: a file spoilt: {_kind}"] = Fault(
        contextmanager(_in_copy), frozenset(_outcomes), may_miss=True
    )


@fault("copy: the pack with the images cut", DAMAGE)
def _(scene: Scene) -> Iterator[None]:
    scene.wish["scope"] = "all"
    packs = scene.site.primary.glob("data/*/*")
    with broken(max(packs, key=lambda path: path.stat().st_size), "cut", scene.draw):
        yield


@fault("copy: the pack with the images lost", DAMAGE)
def _(scene: Scene) -> Iterator[None]:
    scene.wish["scope"] = "all"
    packs = scene.site.primary.glob("data/*/*")
    with broken(max(packs, key=lambda path: path.stat().st_size), "lose", scene.draw):
        yield


@fault("copy: it disappears while restic restores", NOT_RUN)
def _(scene: Scene) -> Iterator[None]:
    disk, away = scene.site.folder / "copies/disk", scene.site.folder / "away"
    real = Repository.restore

    def restore(engine: Repository, *args: Any, **more: Any) -> Any:
        disk.rename(away)
        return real(engine, *args, **more)

    scene.patch.setattr(Repository, "restore", restore)
    try:
        yield
    finally:
        away.rename(disk)


@fault("copy: it disappears when the manifest is read", NOT_RUN)
def _(scene: Scene) -> Iterator[None]:
    disk, away = scene.site.folder / "copies/disk", scene.site.folder / "away"
    real = Repository.dump

    def dump(engine: Repository, *args: Any, **more: Any) -> Any:
        if disk.exists():
            disk.rename(away)
        return real(engine, *args, **more)

    scene.patch.setattr(Repository, "dump", dump)
    try:
        yield
    finally:
        away.rename(disk)


# What the restored files suffer


def _restored(folder: Path, pattern: str = "**/*") -> list[Path]:
    return sorted(one for one in folder.glob(pattern) if one.is_file() and not one.is_symlink())


for _how in ("flip", "cut", "grow", "lose"):

    def _spoilt(scene: Scene, how: str = _how) -> Iterator[None]:
        scene.never_empty()
        scene.after_restore(
            lambda to: spoil_file(scene.draw.choice(_restored(to)), how, scene.draw)
        )
        yield

    FAULTS[f"restored: {_how} a file"] = Fault(contextmanager(_spoilt), frozenset({DAMAGE}))


@fault("restored: a file more", DAMAGE)
def _(scene: Scene) -> Iterator[None]:
    scene.never_empty()

    def add(to: Path) -> None:
        beside = scene.draw.choice(_restored(to))
        shutil.copyfile(beside, beside.with_name(f"{scene.draw.randrange(10**6)}.dcm"))

    scene.after_restore(add)
    yield


@fault("restored: another patient's image in place of one", DAMAGE)
def _(scene: Scene) -> Iterator[None]:
    scene.wish["scope"] = "all"

    def swap(to: Path) -> None:
        one, other = scene.draw.sample(_restored(to, "**/*.dcm"), 2)
        shutil.copyfile(one, other)

    scene.after_restore(swap)
    yield


@fault("restored: a link that points elsewhere", DAMAGE)
def _(scene: Scene) -> Iterator[None]:
    scene.wish["scope"] = "all"

    def relink(to: Path) -> None:
        (to / "link").unlink()
        (to / "link").symlink_to("p0")

    scene.after_restore(relink)
    yield


# What a manifest suffers


def _forgeries(lines: list[dict[str, Any]], draw: random.Random) -> list[dict[str, Any]]:
    """Change what a manifest says in one way that matters."""
    files = [line for line in lines if line.get("sha256")]
    one = draw.choice(files)
    how = draw.choice(["content", "size", "drop", "add", "footer", "no footer"])
    if how == "content":
        one["sha256"] = draw.randbytes(32).hex()
    elif how == "size":
        one["size"] = one["size"] + draw.choice([-1, 1])
    elif how == "drop":
        lines.remove(one)
    elif how == "add":
        lines.insert(lines.index(one), dict(one))
    elif how == "footer":
        lines[-1]["totals"][draw.choice(["entries", "files", "bytes"])] += 1
    else:
        lines.pop()
    return lines


@contextmanager
def _forged(scene: Scene) -> Iterator[None]:
    """Put another manifest with the same tags in the real one's place, as a key holder can."""
    site = scene.site
    kept = scene.disk.image.parent / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(site.primary, kept)
    with site.opened() as opened:
        engine = opened.primary_engine(STORE, STORE)
        (real,) = engine.snapshots(tags=["manifest"])
        text = b"".join(engine.dump(real.id, "/manifest.jsonl"))
        lines = _forgeries([json.loads(line) for line in text.splitlines()], scene.draw)
        forged = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        assert forged.encode() != text
        engine.backup_stream("manifest.jsonl", [forged.encode()], tags=list(real.tags))
        engine.forget([real.id])
    try:
        yield
    finally:
        shutil.rmtree(site.primary)
        kept.rename(site.primary)


@fault("manifest: forged, with a record of the real one", UNPROVEN)
def _(scene: Scene) -> Iterator[None]:
    with _forged(scene):
        yield


@fault("manifest: forged, where nothing but the kit is known", DAMAGE)
def _(scene: Scene) -> Iterator[None]:
    scene.wish |= {"kit": scene.kit, "scope": "all"}
    with _forged(scene):
        yield


@fault("manifest: another bytes than were backed up", DAMAGE, may_miss=True)
def _(scene: Scene) -> Iterator[None]:
    real = Repository.dump

    def dump(engine: Repository, *args: Any, **more: Any) -> Iterator[bytes]:
        content = bytearray(b"".join(real(engine, *args, **more)))
        content[scene.draw.randrange(len(content))] ^= 1 << scene.draw.randrange(8)
        yield bytes(content)

    scene.patch.setattr(Repository, "dump", dump)
    yield


# What the decoder suffers

_READY = """
import socket, sys, time
pipe = socket.socket(fileno=int(sys.argv[1]))
pipe.sendall(b'{"state":"ready"}\\n')
pipe.recv(1)
"""
_PROGRAMS = {
    "dies": _READY,
    "hangs": _READY + "time.sleep(600)",
    "talks nonsense": _READY + "pipe.sendall(b'yes\\n'); time.sleep(600)",
    "does not start": "raise SystemExit(3)",
}

for _name, _text in _PROGRAMS.items():

    def _decoder(scene: Scene, text: str = _text) -> Iterator[None]:
        scene.wish["scope"] = "all"
        scene.patch.setattr(decode_child, "program", lambda: [sys.executable, "-c", text])
        limits: Any = Decoder.__init__.__kwdefaults__
        scene.patch.setitem(limits, "timeout_s", 0.2)
        yield

    FAULTS[f"decoder: {_name}"] = Fault(contextmanager(_decoder), frozenset({UNPROVEN}))


# What the disk of the sandbox suffers


@contextmanager
def _small_disk(scene: Scene, free_bytes: int) -> Iterator[None]:
    folder = scene.disk.mount_point / "drills"
    folder.mkdir(mode=0o700, exist_ok=True)
    ballast = scene.disk.mount_point / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(folder).free - free_bytes))
    scene.site.write(more=f"[drills]\nsandbox = {str(folder)!r}\n")
    try:
        yield
    finally:
        scene.site.write(more="")
        ballast.unlink()
        assert not list(folder.iterdir())


@fault("sandbox: no room", NOT_RUN)
def _(scene: Scene) -> Iterator[None]:
    with _small_disk(scene, scene.draw.randrange(64 * 1024, 512 * 1024)):
        yield


@fault("sandbox: it fills up", NOT_RUN)
def _(scene: Scene) -> Iterator[None]:
    scene.wish["scope"] = "all"
    scene.patch.setattr(Sandbox, "require_room", lambda *_: None)
    with _small_disk(scene, scene.draw.randrange(16 * 1024, 160 * 1024)):
        yield


# What the clock suffers


@fault("clock: set while the drill runs", UNPROVEN)
def _(scene: Scene) -> Iterator[None]:
    jump = timedelta(minutes=scene.draw.choice([-1, 1]) * scene.draw.randrange(2, 10**6))
    scene.after_restore(lambda _to: setattr(scene.clock, "ahead", jump))
    yield


@fault("clock: behind the newest snapshot", UNPROVEN)
def _(scene: Scene) -> Iterator[None]:
    scene.clock.ahead = -timedelta(hours=scene.draw.randrange(1, 10**4))
    yield


@fault("clock: days ahead", UNPROVEN)
def _(scene: Scene) -> Iterator[None]:
    scene.clock.ahead = timedelta(days=scene.draw.randrange(3, 30))
    yield


# What a kit suffers


@fault("kit: one character is another", DAMAGE, may_miss=True)
def _(scene: Scene) -> Iterator[None]:
    text = scene.kit.read_text()
    start = text.index('"password"') if scene.draw.random() < 0.5 else 0
    at = scene.draw.randrange(start, len(text))
    spoilt = scene.disk.image.parent / "spoilt.txt"
    other = scene.draw.choice([one for one in '0aZ+{" \n' if one != text[at]])
    spoilt.write_text(text[:at] + other + text[at + 1 :])
    scene.wish |= {"kit": spoilt, "scope": "all"}
    yield
    spoilt.unlink()


@fault("kit: of another site", NOT_RUN)
def _(scene: Scene) -> Iterator[None]:
    scene.wish |= {"kit": scene.foreign_kit, "scope": "all"}
    yield


@fault("kit: not there", BAD_FILE)
def _(scene: Scene) -> Iterator[None]:
    scene.wish |= {"kit": scene.kit.with_name("none.txt"), "scope": "all"}
    yield


def same_kit(one: Path, other: Path) -> bool:
    """Say whether two kits hold the same secrets, whatever is written around them."""
    try:
        return checksum(load_kit(one)) == checksum(load_kit(other))
    except OrchestratorError:
        return False


# Looking over the drill's shoulder


class Shoulder:
    """What truly lay in the sandbox when a drill had done its work, read past the product."""

    def __init__(self, images: Path) -> None:
        self._images = images
        self.whole = False
        self.files = 0

    def look(self, patch: pytest.MonkeyPatch) -> None:
        """Look at the end of each drill made while `patch` lasts."""
        self.whole, self.files = False, 0
        real = DrillWork.perform

        def perform(work: DrillWork, engine: Repository, box: Sandbox, **more: Any) -> None:
            real(work, engine, box, **more)
            self._compare(box.files, is_all=str(work.result.scope) == "all")

        patch.setattr(DrillWork, "perform", perform)

    def _compare(self, restored: Path, *, is_all: bool) -> None:
        there, source = _tree(restored), _tree(self._images)
        self.files = sum(1 for content in there.values() if isinstance(content, bytes))
        self.whole = bool(there) and there.items() <= source.items()
        if is_all:
            self.whole &= there.keys() == source.keys()


def _tree(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }
