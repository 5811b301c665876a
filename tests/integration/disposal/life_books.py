"""The judge of a round: keeps books of its own and compares every copy with them.

They say what lay in the store when each snapshot was made, which studies have a lawful reason to
go, and what each copy had when a hold was placed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.actions.site import key_file_path, keyring_path
from orchestrator.catalog.encryption import Pseudonyms
from orchestrator.keys.keyring import Keyring
from tests.integration.disposal.life_oracle import Library, Look, Mirror
from tests.integration.disposal.life_site import Disks, Life
from tests.support.due_studies import TODAY, Made
from tests.support.site import STORE, LabSite

GOING = ("suppressed", "live_removed", "primary_removed", "disposed")


@dataclass
class Held:
    """What must not go while a hold is in force.

    Attributes:
        studies: Numbers.
        had: What each copy held of them when it was placed.
    """

    studies: frozenset[int]
    had: dict[str, set[tuple[str, str, str]]]


@dataclass
class Books:
    """What is known of a round, and the judgement on it.

    Attributes:
        lab: The site.
        life: What the test knows of the store.
        disks: Primary and media.
        mirror: The bucket as restic reads it; None for none.
        told: What happened, for whoever looks into a failure.
        looks: What each copy showed at the last look.
        expected: What lay in the store at each run that made a snapshot.
        holds: Those in force.
        going: Studies that are disposed of, or are about to be.
        complete: Studies of every disposal that was ever complete.
        gone_media: Media that do not exist any more.
        restores: How many were as they must be.
    """

    lab: LabSite
    life: Life
    disks: Disks
    mirror: Mirror | None
    told: list[str] = field(default_factory=list)
    looks: dict[str, Look] = field(default_factory=dict)
    expected: dict[str, dict[str, str]] = field(default_factory=dict)
    holds: dict[str, Held] = field(default_factory=dict)
    going: set[int] = field(default_factory=set)
    complete: dict[str, set[int]] = field(default_factory=dict)
    gone_media: set[str] = field(default_factory=set)
    restores: int = 0

    def __post_init__(self) -> None:
        keyring = Keyring.open(keyring_path(self.lab.state), key_file_path(self.lab.state))
        self.library = Library(keyring.password(STORE).reveal())
        self._pseudonyms = Pseudonyms(keyring.pseudonym_key())

    def key(self, number: int) -> str:
        """Return the pseudonym of a study."""
        return self._pseudonyms.study(Made(number, TODAY).uid)

    @property
    def number(self) -> dict[str, int]:
        """Numbers of studies by their pseudonyms."""
        return {self.key(one): one for one in self.life.studies}

    def story(self, why: str) -> str:
        """Say what led to a failure."""
        return "\n".join([why, *(f"  {number}: {one}" for number, one in enumerate(self.told))])

    def demand(self, is_so: object, why: str) -> None:
        assert is_so, self.story(why)

    def see(self) -> None:
        """Look at every copy that can be looked at."""
        self.looks["disk"] = self.library.look(self.lab.primary)
        self.looks["attic"] = self.library.look(self.lab.folder / "attic" / STORE)
        label = self.disks.connected
        if label is not None and self.disks.is_mounted(label):
            self.looks[label] = self.library.look(self.disks.repository(label))
        if self.mirror is not None:
            self.looks["vault"] = self.library.look(self.mirror.refresh())

    def judge(self, act: str, before: dict[str, str], held: dict[str, Held]) -> None:
        """Look at everything and say whether all is as it must be."""
        last = dict(self.looks)
        self.see()
        self._judge_states(act, held)
        self._judge_store(before, held)
        self._judge_copies(act, last, before)
        for name, hold in held.items():
            if name in self.holds:
                self._judge_hold(name, hold)
        self._judge_complete()

    def states(self) -> dict[int, str]:
        """Return what the catalog says of the studies of disposals, the newest batch last."""
        with suppress(Exception):
            rows = self.lab.rows("SELECT study_key, state FROM disposal_study ORDER BY disposal")
            return {self.number[row["study_key"]]: row["state"] for row in rows}
        return {}

    def batches(self) -> dict[str, str]:
        rows = self.lab.rows("SELECT id, state FROM disposal ORDER BY id")
        return {row["id"]: row["state"] for row in rows}

    def _judge_states(self, act: str, held: dict[str, Held]) -> None:
        on_hold = {number for hold in held.values() for number in hold.studies}
        for number, state in self.states().items():
            if state in GOING and number not in self.going and act != "rebuild":
                self.demand(act == "execute", f"study {number} went by {act}")
                self.demand(self.life.is_due(number), f"study {number} goes and is not due")
                self.demand(number not in on_hold, f"study {number} goes and is on hold")
                self.going.add(number)
            elif state == "withheld" and act != "rebuild":
                self.going.discard(number)

    def _judge_store(self, before: dict[str, str], held: dict[str, Held]) -> None:
        on_hold = {number for hold in held.values() for number in hold.studies}
        there = {
            str(path.relative_to(self.life.images)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.life.images.rglob("*")
            if path.is_file()
        }
        for path, sha in before.items():
            if there.get(path) != sha:
                number = self.life.owner.get(sha)
                self.demand(number in self.going, f"the store lost {path} of study {number}")
                self.demand(number not in on_hold, f"the store lost {path}, which is on hold")
                del self.life.live[path]
        self.demand(there == self.life.live, "the store holds what nobody put there")

    def _judge_copies(self, act: str, last: dict[str, Look], before: dict[str, str]) -> None:
        primary = self.looks["disk"]
        for snap in primary.data():
            if snap.run not in self.expected:
                is_known = not snap.rewritten or act == "execute"  # which backs up first
                self.demand(is_known, f"a snapshot of nobody: {snap.id[:8]}")
                self.expected[snap.run] = before
        for copy, look in self.looks.items():
            for snap in look.snaps.values():
                self.demand(look.is_whole(snap), f"{copy}: {snap.kind} {snap.id[:8]} is not whole")
            for snap in look.data():
                self._judge_content(copy, snap.run, snap.files)
            lost = (last.get(copy, Look()).snaps.keys() - look.snaps.keys()) & primary.snaps.keys()
            self.demand(not lost, f"{copy} lost {len(lost)} snapshots that the primary has")
        for snap in primary.snaps.values():
            if snap.kind == "manifest" and snap.run in self.expected:
                for path, sha in self.expected[snap.run].items():
                    known = f'"path":"{path}"'.encode() in snap.manifest or not path.isascii()
                    is_gone = self.life.owner.get(sha) in self.going
                    self.demand(known or is_gone, f"a manifest lost {path}")

    def _judge_content(self, copy: str, run: str, files: dict[str, str]) -> None:
        wanted = self.expected[run]
        for path, sha in files.items():
            self.demand(wanted.get(path) == sha, f"{copy}: {path} is not what was backed up")
        for path in wanted.keys() - files.keys():
            number = self.life.owner.get(wanted[path])
            self.demand(number in self.going, f"{copy}: {path} of study {number} is lost")

    def _judge_hold(self, name: str, hold: Held) -> None:
        for copy, had in hold.had.items():
            if copy not in self.gone_media:
                contents = frozenset(sha for _, _, sha in had)
                lost = had - self.looks[copy].having(contents)
                self.demand(not lost, f"{name}: {copy} lost {sorted(lost)[:2]}")

    def _judge_complete(self) -> None:
        with suppress(Exception):
            rows = self.lab.rows(
                "SELECT s.disposal, s.study_key FROM disposal_study s JOIN disposal d "
                "ON d.id = s.disposal WHERE (d.state = 'complete' OR d.certificate IS NOT NULL) "
                "AND s.state != 'withheld'"
            )
            for row in rows:
                known = self.complete.setdefault(row["disposal"], set())
                known.add(self.number[row["study_key"]])
        for batch, numbers in self.complete.items():
            for number in numbers:
                self.demand(not self.life.paths(number), f"{batch} complete, {number} in the store")
                for copy, look in self.looks.items():
                    if copy not in self.gone_media:
                        self._judge_absent(f"{batch} complete, {copy}", look, number)

    def _judge_absent(self, what: str, look: Look, number: int) -> None:
        contents = self.life.contents(number)
        self.demand(not look.unknown, f"{what}: {len(look.unknown)} packs of nobody")
        kept = {
            chunk
            for sha, owner in self.life.owner.items()
            if owner != number
            for chunk in self.library.chunks.get(sha, ())
        }
        chunks = frozenset().union(*(self.library.chunks.get(sha, ()) for sha in contents))
        left = (chunks - kept) & look.blobs
        self.demand(not left, f"{what}: {len(left)} blobs of study {number} are left")
        uid = f'"{self.life.studies[number].uid}"'.encode()
        for snap in look.snaps.values():
            self.demand(not contents & set(snap.files.values()), f"{what}: {number} in a snapshot")
            self.demand(uid not in snap.manifest, f"{what}: {number} in a manifest")

    # looking back

    def judge_restored(self, done: dict[str, Any], to: Path) -> None:
        """Judge what a restore has brought back."""
        found = {
            str(path.relative_to(to)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in to.rglob("*")
            if path.is_file()
        }
        shutil.rmtree(to, ignore_errors=True)
        self.judge_seen(found.values())
        if "done" not in done:
            return
        self.demand(done["verified"], f"a restore is not verified: {done}")
        snap = next(
            look.snaps[done["snapshot"]]
            for look in self.looks.values()
            if done["snapshot"] in look.snaps
        )
        wanted = {
            path: sha
            for path, sha in self.expected[snap.run].items()
            if self.life.owner.get(sha) not in self.going
        }
        self.demand(found == wanted, f"a restore lacks {sorted(wanted.keys() - found.keys())[:3]}")
        self.restores += 1

    def judge_seen(self, contents: Iterable[str]) -> None:
        """Judge contents that came back by whatever way."""
        for sha in contents:
            number = self.life.owner.get(sha)
            self.demand(number not in self.going, f"study {number} came back to life")
