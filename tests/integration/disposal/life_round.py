"""One round: what the product is told to do on a site, and how everything comes to its end."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from deploy.lab.object_lock_server import ObjectLockServer
from tests.integration.disposal.life_books import Books
from tests.integration.disposal.life_oracle import Mirror
from tests.integration.disposal.life_site import MEDIA, SCHEDULE, Disks, Life, patients_file
from tests.integration.disposal.life_worker import Worker
from tests.support.postgres_site import lose_catalog
from tests.support.site import LabSite, wait_for

ENDED = ("complete", "refused", "proposed")
MOST_TURNS = 8
"""So often the end of a round goes through all media before it must have converged."""

LOCKS_END_S = 60
"""And as long at least: a version may be locked for 20 seconds, and a fast machine turns fast."""


@dataclass(kw_only=True)
class Round(Books):
    """One round.

    Attributes:
        worker: Acts on the site.
        draw: The lots.
        ended: How acts ended, without a fault and with one.
        instants: When acts ended.
        versions: Of the site's own schedule.
        retired: The medium that was taken out of service.
    """

    worker: Worker
    draw: random.Random
    ended: Counter[str] = field(default_factory=Counter)
    instants: list[str] = field(default_factory=list)
    versions: int = 0
    retired: str | None = None

    def begin(self) -> None:
        """Fill the store and make the site ready for its life."""
        self.life.fill()
        self.lab.run("init", self.lab.folder)
        for label in MEDIA:
            self.disks.connect(label)
            self.must("add medium", where=str(self.disks.media[label].mount_point), label=label)
        self.must("backup")
        self.must("adopt", "privacy", name=SCHEDULE)
        self.import_patients()

    def act(
        self, act: str, actor: str = "it", *, fault: Any = None, ahead: float = 0, **args: Any
    ) -> dict[str, Any]:
        """Let the product do something, and judge what has become of the copies."""
        before = dict(self.life.live)
        held = dict(self.holds)
        wish = {"act": act, "actor": actor, "args": args, "env": self.lab.env, "ahead": ahead}
        done = self.worker.do(wish | {"fault": fault})
        word = next((one for one in ("killed", "error", "strange") if one in done), "done")
        more = done.get("message") or done.get("problems") or ""
        self.told.append(f"{actor}: {act} {args} {fault or ''} {ahead or ''} -> {word} {more}")
        self.ended[f"{act}: {word}{' (fault)' if fault or ahead else ''}"] += 1
        assert "strange" not in done, self.story(done["strange"])
        self.instants.append(dt.datetime.now(dt.UTC).isoformat())
        self.quiet()
        self.judge(act, before, held)
        return done

    def must(self, act: str, actor: str = "it", **args: Any) -> dict[str, Any]:
        """Do something that cannot fail."""
        done = self.act(act, actor, **args)
        assert "done" in done, self.story(f"{act} {args} failed: {done}")
        return done

    def import_patients(self, **newer: dt.date) -> None:
        """Import a list that knows every patient of the first hour, some with a newer treatment."""
        treated: dict[str, dt.date] = {}
        for one in self.life.studies.values():
            if one.number < 100:
                treated[one.patient_id] = max(treated.get(one.patient_id, one.day), one.day)
        treated |= newer
        file = patients_file(self.lab, treated, dt.datetime.now(dt.UTC))
        before, self.life.treated = self.life.treated, treated
        if "error" in self.act("patients", "privacy", file=str(file)):
            self.life.treated = before

    def quiet(self) -> None:
        """Wait until no restic of a killed act is at work any more."""
        wait_for(lambda: not self.lab.restic_processes())

    def wait_out_quarantine(self, name: str) -> None:
        """Wait until an approved batch may be executed: acts follow each other within a second."""
        row = self.lab.rows("SELECT quarantine_until FROM disposal WHERE id = ?", name)[0]
        until = str(row["quarantine_until"])[:19]
        wait_for(lambda: str(dt.datetime.now(dt.UTC))[:19] > until)

    def converge(self) -> None:
        """Take every obstacle away: everything that was begun must come to its end."""
        self.know_the_primary()
        for name, state in self.batches().items():
            if state == "approved":
                self.wait_out_quarantine(name)
                self.act(self.draw.choice(["refuse", "execute"]), "privacy", name=name)
        for name in list(self.holds):
            self.release(name)
        if self.retired is not None and self.retired not in self.gone_media:
            self.shred()
        locked_until = time.monotonic() + LOCKS_END_S
        for turn in itertools.count(1):
            self.turn()
            if all(state in ENDED for state in self.batches().values()):
                break
            if turn >= MOST_TURNS and time.monotonic() > locked_until:
                break
            time.sleep(1)
        left = {one: state for one, state in self.batches().items() if state not in ENDED}
        rows = self.lab.rows("SELECT copy, medium, state, detail FROM disposal_copy")
        self.demand(not left, f"not converged: {left}, {rows}")
        self.turn()
        to = self.lab.folder / "back"
        self.judge_restored(
            self.must("restore", to=str(to), copy=None, snapshot=None, as_of=None), to
        )
        answer = self.lab.run("ledger", "verify", expect=None)
        self.demand(answer.code == 0, f"the ledger: {answer.out} {answer.err}")
        answer = self.lab.run("check", "disk", expect=None)
        self.demand(answer.code == 0, f"check: {answer.out} {answer.err}")

    def know_the_primary(self) -> None:
        """Make the catalog anew from the primary where it was made from a copy that lagged behind.

        Nobody but a person can say what its snapshots are that the catalog does not know.
        """
        known = {row["id"] for row in self.lab.rows("SELECT id FROM snapshot")}
        runs = {row["id"] for row in self.lab.rows("SELECT id FROM run")}
        strange = [
            snap
            for snap in self.looks["disk"].snaps.values()
            if snap.id not in known and snap.run.removeprefix("run=") not in runs
        ]
        if strange:
            lose_catalog(self.lab)
            self.rebuild("disk")
            self.act("adopt", "privacy", name=SCHEDULE)

    def rebuild(self, copy: str) -> None:
        """Make the lost catalog anew, from the primary if the copy is not there.

        Nothing but rotations and disposals takes snapshots from the primary of a round.
        """
        done = self.act("rebuild", copy=copy, rotated=False)
        if "done" not in done:
            copy, done = "disk", self.must("rebuild", copy="disk", rotated=False)
        if any("--rotated" in one for one in done["lost"]):
            lose_catalog(self.lab)
            self.must("rebuild", copy=copy, rotated=True)

    def turn(self) -> None:
        """Do what a night and a week do, with every medium in its turn."""
        for label in MEDIA:
            if label == self.retired:
                continue
            self.disks.connect(label)
            self.must("rotate")  # which clears away what killed backups have left
            self.must("backup")
            self.act("settle")
            self.tell_copies()
            if self.mirror is not None:
                self.act("sweep")

    def tell_copies(self) -> None:
        """Note what the product says of the copies that are not free yet."""
        rows = self.lab.rows("SELECT * FROM disposal_copy WHERE state != 'absent'")
        self.told += [f"{row['copy']} {row['state']}: {row['detail']}" for row in rows]

    def release(self, name: str) -> None:
        """Release a hold, by two people."""
        self.must("release", "privacy", name=name)
        del self.holds[name]
        self.must("release", name=name)

    def shred(self) -> None:
        """Shred the medium that was retired."""
        assert self.retired is not None
        if self.disks.connected == self.retired:
            self.disks.connect(None)
        self.gone_media.add(self.retired)
        self.must("shred", "privacy", name=self.retired)


def make_round(
    lab: LabSite, worker: Worker, draw: random.Random, stack: ExitStack,
    server: ObjectLockServer | None,
) -> Round:  # fmt: skip
    """Make a site ready for a round of its own."""
    disks = Disks(lab, stack)
    mirror = None
    if server is not None and lab.values.vault is not None:
        mirror = Mirror(server, lab.values.vault.bucket, lab.folder / "mirror")
    made = Round(lab, Life(lab.images), disks, mirror, worker=worker, draw=draw)
    made.begin()
    return made
