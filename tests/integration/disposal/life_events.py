"""What happens in a round: each event comes about by lot, and so do its fault and its moment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.disposal.life_books import Held
from tests.integration.disposal.life_faults import acts
from tests.integration.disposal.life_round import Round
from tests.integration.disposal.life_site import (
    MEDIA,
    NEW,
    SCHEDULE,
    image,
    local_schedule,
)
from tests.support.due_studies import Made
from tests.support.postgres_site import lose_catalog

EVENTS: dict[Callable[[Round], None], int] = {}
"""How often each comes about, in shares."""


def event(share: int) -> Callable[[Callable[[Round], None]], Callable[[Round], None]]:
    """Enter an event into the list."""

    def enter(happen: Callable[[Round], None]) -> Callable[[Round], None]:
        EVENTS[happen] = share
        return happen

    return enter


def happen(one: Round) -> None:
    """Let one event happen."""
    (chosen,) = one.draw.choices(list(EVENTS), list(EVENTS.values()))
    one.told.append(f"-- {chosen.__name__}")
    chosen(one)


# The practice's days


@event(5)
def backup(one: Round) -> None:
    acts(one, "backup")


@event(4)
def replicate(one: Round) -> None:
    acts(one, "replicate")


@event(3)
def rotate(one: Round) -> None:
    acts(one, "rotate")


@event(3)
def sweep(one: Round) -> None:
    if one.mirror is not None:
        acts(one, "sweep")


@event(3)
def move_a_file(one: Round) -> None:
    path = one.draw.choice(sorted(one.life.live))
    number = one.life.owner.get(one.life.live[path])
    if number in one.going:
        return
    content = one.life.take(path)
    one.life.put(f"moved/{one.draw.randrange(10**6)}.dcm", content, number)


@event(3)
def copy_a_file(one: Round) -> None:
    path = one.draw.choice(sorted(one.life.live))
    number = one.life.owner.get(one.life.live[path])
    if number not in one.going:
        content = (one.life.images / path).read_bytes()
        one.life.put(f"duplicates/{one.draw.randrange(10**6)}.dcm", content, number)


@event(4)
def put_a_file_in_the_place_of_another(one: Round) -> None:
    path = one.draw.choice(sorted(one.life.live))
    old = one.life.owner.get(one.life.live[path])
    if old in one.going or old is None:
        return
    content = one.life.take(path)
    one.life.put(f"moved/{one.draw.randrange(10**6)}.dcm", content, old)
    new = one.draw.choice([number for number in one.life.studies if number not in one.going])
    one.life.put(path, image(one.life.studies[new], one.draw.randrange(3, 9)), new)


@event(2)
def add_a_study(one: Round) -> None:
    known = max(one.life.studies)
    made = Made(max(known + 1, 100), NEW, files=1)
    one.life.studies[made.number] = made
    one.life.put(f"{made.folder}/1.dcm", image(made, 1), made.number)


@event(1)
def leave_a_note_beside_images(one: Round) -> None:
    path = one.draw.choice(sorted(one.life.live))
    name = str(Path(path).parent / f"note{one.draw.randrange(10**6)}.txt")
    one.life.put(name, one.draw.randbytes(40), None)


# Media


@event(5)
def medium(one: Round) -> None:
    label = one.draw.choice([None, *(each for each in MEDIA if each != one.retired)])
    if one.disks.connected is not None and one.draw.random() < 0.5:
        one.act("release medium")
    one.disks.connect(label)
    if label is not None and one.draw.random() < 0.5:
        one.act("receive medium", name=label)
    one.told.append(f"connected: {label}")
    if label is not None and one.draw.random() < 0.5:
        look_back(one, label)
    if label is not None and one.draw.random() < 0.6:
        acts(one, "replicate")


@event(1)
def retire(one: Round) -> None:
    label = one.draw.choice(MEDIA)
    if one.retired is None and "done" in acts(one, "retire", "it", name=label):
        one.retired = label
        if one.disks.connected == label:
            one.disks.connect(None)


@event(1)
def shred(one: Round) -> None:
    if one.retired is not None and one.retired not in one.gone_media:
        one.shred()


@event(1)
def lock_a_version_for_longer(one: Round) -> None:
    if one.mirror is not None:
        key, version = one.draw.choice(sorted(one.mirror.versions()))
        until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20)
        one.mirror.lock_longer(key, version, until)
        one.told.append("a version will not go")


# Retention


@event(3)
def patients(one: Round) -> None:
    newer = {}
    if one.draw.random() < 0.5:
        newer = {one.draw.choice(["PAT0001", "PAT0002", "PAT0003", "PAT0008"]): NEW}
    one.import_patients(**newer)


@event(2)
def schedule(one: Round) -> None:
    one.versions += 1
    years = one.draw.choice([6, 6, 40])
    local_schedule(one.lab, one.versions, years)
    if one.draw.random() < 0.7 and "done" in one.act("adopt", "privacy", name="own"):
        one.life.local_years = years


@event(5)
def place_a_hold(one: Round) -> None:
    number = one.draw.choice(sorted(one.life.studies))
    study, everything = one.life.studies[number], one.life.studies.values()
    kind = one.draw.choice(["study", "study", "patient", "dates", "store"])
    what: dict[str, Any] = {"study": one.key(number)}
    covered = {number}
    if kind == "patient":
        what = {"patient": study.patient_id}
        covered = {each.number for each in everything if each.patient_id == study.patient_id}
    elif kind == "dates":
        what = {"dates_from": f"{study.day}", "dates_to": f"{study.day}"}
        covered = {each.number for each in everything if each.day == study.day}
    elif kind == "store":
        what, covered = {"store": "xrays"}, set(one.life.studies)
    had = {
        copy: look.having(frozenset().union(*(one.life.contents(each) for each in covered)))
        for copy, look in one.looks.items()
    }
    before = _holds(one)
    acts(one, "place", "privacy", kind=kind, **what)
    for name in _holds(one) - before:  # also where it died after that
        one.holds[name] = Held(frozenset(covered), had)


def _holds(one: Round) -> set[str]:
    return {row["id"] for row in one.lab.rows("SELECT id FROM hold")}


@event(5)
def release_a_hold(one: Round) -> None:
    if one.holds:
        one.release(one.draw.choice(sorted(one.holds)))


@event(7)
def propose(one: Round) -> None:
    acts(one, "propose", one.draw.choice(["it", "it", "privacy"]))


@event(7)
def approve(one: Round) -> None:
    for name, state in one.batches().items():
        if state == "proposed":
            row = one.lab.rows("SELECT proposed_by FROM disposal WHERE id = ?", name)[0]
            done = acts(one, "approve", "privacy", name=name)
            one.demand(
                "done" not in done or row["proposed_by"] != "privacy", "one person approved alone"
            )


@event(1)
def refuse(one: Round) -> None:
    for name, state in one.batches().items():
        if state in ("proposed", "approved"):
            acts(one, "refuse", "privacy", name=name)


@event(22)
def execute(one: Round) -> None:
    for name, state in one.batches().items():
        if state in ("approved", "executing", "residual"):
            acts(one, "execute", likely=0.7, name=name)


@event(8)
def settle(one: Round) -> None:
    acts(one, "settle", likely=0.6)


@event(2)
def a_clock_that_was_set_back(one: Round) -> None:
    hours = one.draw.choice([2, 30, 24 * 40, 24 * 3000])
    names = [name for name, state in one.batches().items() if state in ("approved", "executing")]
    act = one.draw.choice(["settle", "rotate", *(["execute"] * len(names))])
    args = {"name": one.draw.choice(names)} if act == "execute" else {}
    one.act(act, ahead=-3600 * hours, **args)


# Looking back


@event(5)
def restore(one: Round) -> None:
    look_back(one, one.draw.choice([None, "disk", "attic", "rotation", "vault"]))


def look_back(one: Round, where: str | None) -> None:
    """Restore from a copy: the newest, an old snapshot, or as of an instant before."""
    copy = "rotation" if where in MEDIA else where
    if copy == "vault" and one.mirror is None:
        copy = "disk"
    look = one.looks.get(where or "disk")
    known = sorted(snap.id for snap in look.data()) if look is not None else []
    snapshot = one.draw.choice(known) if known and one.draw.random() < 0.5 else None
    as_of = one.draw.choice(one.instants) if one.draw.random() < 0.3 else None
    to = one.lab.folder / "back"
    done = one.act("restore", to=str(to), copy=copy, snapshot=snapshot, as_of=as_of)
    one.judge_restored(done, to)


@event(3)
def drill(one: Round) -> None:
    copies = ["disk", "attic", "rotation", *(["vault"] if one.mirror is not None else [])]
    copy = one.draw.choice(copies)
    done = one.act("drill", copy=copy, snapshot=None, kit=one.draw.random() < 0.3)
    one.told.append(f"{done.get('verdict')}: {done.get('reason')} {done.get('failed')}")
    one.judge_seen(done.get("seen", ()))
    one.ended[f"drill {done.get('verdict')}"] += 1


@event(2)
def lose_the_catalog(one: Round) -> None:
    lose_catalog(one.lab)
    copies = ["disk", "attic", "rotation", *(["vault"] if one.mirror is not None else [])]
    copy = one.draw.choice(copies)
    one.rebuild(copy)
    one.versions += 1
    one.act("adopt", "privacy", name=SCHEDULE)


def begin_a_disposal(one: Round) -> None:
    """Bring a round to where it matters: a batch that may be executed, if anything is due."""
    one.act("propose")
    for name, state in one.batches().items():
        if state == "proposed":
            one.act("approve", "privacy", name=name)
