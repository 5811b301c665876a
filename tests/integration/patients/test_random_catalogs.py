"""Random catalogs, and a clerk with the headers and the list on the desk who says what may go.

Made-up images of made-up people, and the real headers that ship with pydicom, each with its share
of what goes wrong in practices. The clerk knows the words and none of the ways of the product: no
pseudonyms, no streams, no merging step by step; whom an image is of is asked of every pair anew.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from sqlmodel import Session

from orchestrator.actions.retention.adopt import adopt
from orchestrator.actions.retention.decisions import decisions
from orchestrator.actions.retention.determined import Determined
from orchestrator.actions.retention.facts import study_facts
from orchestrator.actions.retention.grounds import grounds
from orchestrator.actions.retention.patients import import_patients
from orchestrator.actions.retention.policy import current_policy
from orchestrator.catalog.determination_tables import Determination
from orchestrator.manifest import ManifestEntry
from orchestrator.retention.decide import decide
from orchestrator.retention.determination import SETTLEABLE
from orchestrator.retention.patient_id import is_phantom, is_placeholder, normal_name
from orchestrator.retention.study import Decision, StudyFacts
from tests.integration.patients.conftest import NOW, Clinic
from tests.support.catalog_rows import entry, sample_entries
from tests.unit.retention import oracle

STATES = {"xrays": ("US-TX",), "annex": ("US-NY", "US-TX")}
STRONG = ("study_date", "series_date", "acquisition_date", "content_date")
A_YEAR = dt.timedelta(days=366)

Number = tuple[str, str]
"""An issuer and an id, as they are compared."""


@dataclass(frozen=True)
class File:
    """One file as the clerk sees it."""

    store: str
    header: dict[str, str]
    state: str = "good"

    @property
    def number(self) -> Number | None:
        text = self.header.get("patient_id", "").strip()
        if not text:
            return None
        return self.header.get("issuer_of_patient_id", "").strip().casefold(), text

    def day(self, name: str) -> dt.date | None:
        text = self.header.get(name, "").replace(".", "")
        try:
            return dt.datetime.strptime(text, "%Y%m%d").date() if len(text) == 8 else None
        except ValueError:
            return None

    @property
    def days(self) -> list[dt.date]:
        return [day for day in map(self.day, STRONG) if day is not None]

    @property
    def made(self) -> dt.date | None:
        return self.day("instance_creation_date")

    @property
    def is_unclear(self) -> bool:
        unreadable = any(self.header.get(name) and self.day(name) is None for name in STRONG)
        return unreadable or (not self.days and self.made is None)

    @property
    def born(self) -> dt.date | None:
        day = self.day("patient_birth_date")
        return day if day is not None and day.year >= 1901 else None

    @property
    def name(self) -> str:
        return normal_name(self.header.get("patient_name", ""))


@dataclass(frozen=True)
class Line:
    """One line of the patient list."""

    patient_id: str
    born: dt.date | None
    treated: dt.date | None
    into: str = ""


@dataclass
class World:
    """Everything there is."""

    files: list[File] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def root(self, number: Number) -> Number:
        """Return who stands for somebody; the list speaks of numbers without an issuer."""
        for line in self.lines:
            if number == ("", line.patient_id) and line.into:
                return "", line.into
        return number

    def of(self, root: Number) -> list[File]:
        return [one for one in self.files if one.number and self.root(one.number) == root]


# Making one

FAULTS: tuple[dict[str, str], ...] = (
    {"study_date": ""},
    {"study_date": "20209999"},
    {"study_date": "20620101"},
    {"study_date": "19000101"},
    {"series_date": "2O12"},
    {"content_date": "19991231"},
    {"instance_creation_date": "20250101"},
    {"patient_id": ""},
    {"patient_id": "TEST"},
    {"patient_id": "200"},
    {"patient_birth_date": "19000101"},
    {"patient_birth_date": "19610203"},
    {"patient_birth_date": ""},
    {"patient_name": "ROE^RICHARD"},
    {"patient_name": ""},
    {"patient_name": "PHANTOM^QA"},
    {"issuer_of_patient_id": "ELM"},
    {"issuer_of_patient_id": "elm "},
    {"study_instance_uid": ""},
    {"patient_identity_removed": "YES"},
    {"modality": "MG"},
)


def made(chance: random.Random) -> World:
    world = World()
    for person in range(14):
        born = dt.date(chance.randint(1950, 2003), chance.randint(1, 12), chance.randint(1, 28))
        who = {
            "patient_id": f"{200 + person // 2 * 2}"
            if chance.random() < 0.04
            else f"{200 + person}",
            "patient_name": f"DOE^{chance.choice('ABCDEFGH')}",
            "patient_birth_date": f"{born:%Y%m%d}",
        }
        for number in range(chance.randint(1, 3)):
            world.files += study(chance, f"1.9.{person}.{number}", who)
        if chance.random() < 0.92:
            said = born if chance.random() < 0.9 else None
            if chance.random() < 0.04:
                said = born + dt.timedelta(days=1)
            treated = a_day(chance) if chance.random() < 0.8 else None
            into = "200" if person % 2 and chance.random() < 0.08 else ""
            if into:
                said = None
            world.lines.append(Line(f"{200 + person}", said, treated, into))
    if not any(line.patient_id == "200" for line in world.lines):
        world.lines = [Line(one.patient_id, one.born, one.treated) for one in world.lines]
    return world


def study(chance: random.Random, uid: str, who: dict[str, str]) -> Iterator[File]:
    day = a_day(chance)
    stores = ["xrays" if chance.random() < 0.8 else "annex"]
    if chance.random() < 0.06:
        stores = ["xrays", "annex"]
    for store in stores:
        for number in range(chance.randint(1, 3)):
            header = {**who, "study_instance_uid": uid, "study_date": f"{day:%Y%m%d}"}
            header["sop_instance_uid"] = f"{uid}.{number}"
            if chance.random() < 0.08:
                header |= chance.choice(FAULTS)
            state = "changed" if chance.random() < 0.01 else "good"
            yield File(store, {key: text for key, text in header.items() if text}, state)


def a_day(chance: random.Random) -> dt.date:
    newest = 2025 if chance.random() < 0.4 else 2018
    return dt.date(chance.randint(2004, newest), chance.randint(1, 12), chance.randint(1, 28))


def real(chance: random.Random) -> World:
    """Real headers, most of their patients in the list, some of them with a date put right."""
    world = World()
    for one in sample_entries():
        header = dict(one.dicom or {})
        if header and chance.random() < 0.5:
            header["study_date"] = f"{a_day(chance):%Y%m%d}"
        if header and chance.random() < 0.5:
            header["patient_birth_date"] = "19600101"
        world.files.append(File(chance.choice(("xrays", "xrays", "annex")), header))
    numbers = sorted({one.number for one in world.files if one.number and not one.number[0]})
    for _, text in numbers:
        if text.isalnum() and not is_placeholder(text) and chance.random() < 0.9:
            world.lines.append(Line(text, None, a_day(chance)))
    return world


# The clerk


def clerks_facts(world: World, store: str, uid: str) -> StudyFacts:
    """Gather what the files and the list say of one study."""
    everywhere = [one for one in world.files if one.header.get("study_instance_uid") == uid]
    here = [one for one in everywhere if one.store == store]
    roots = {world.root(one.number) for one in everywhere if one.number}
    root = roots.pop() if len(roots) == 1 else None
    theirs = world.of(root) if root else []
    days = [day for one in everywhere for day in one.days]
    makes = [one.made for one in everywhere if one.made]
    seen = [day for one in theirs for day in (*one.days, *([one.made] if one.made else []))]
    line = said_of(world, root)
    born, doubts = clerks_birth(theirs, line)
    doubts |= set(doubts_of(everywhere)) | set(doubts_about(world, root, theirs))
    if len(roots) > 1 or (root is None and roots):
        doubts.add("several_patients")
    if days and max(days) - min(days) > A_YEAR:
        doubts.add("dates_disagree")
    if not any(one.number for one in everywhere):
        doubts.add("patient_id_missing")
    elif line is None:
        doubts.add("not_in_patient_list")
    places = {one.store for one in (*here, *everywhere, *theirs)}
    return StudyFacts(
        store=store,
        study=uid,
        patient=None if root is None else "/".join(root),
        jurisdictions=tuple(sorted({state for place in places for state in STATES[place]})),
        newest_image=max(days, default=None),
        oldest_image=min(days, default=None),
        newest_other=max(makes, default=None),
        patient_newest_image=max(seen, default=None),
        last_treatment=None if line is None else line.treated,
        born=born,
        is_mammogram=any(one.header.get("modality") == "MG" for one in everywhere),
        doubts=frozenset(doubts),  # type: ignore[arg-type]
        files=len(here),
    )


def said_of(world: World, root: Number | None) -> Line | None:
    """Return what the list says of somebody, of all who were merged together."""
    if root is None or root[0]:
        return None
    lines = [one for one in world.lines if root[1] in (one.patient_id, one.into)]
    if not any(one.patient_id == root[1] for one in lines):
        return None
    born = {one.born for one in lines if one.born}
    treated = [one.treated for one in lines if one.treated]
    return Line(root[1], born.pop() if born else None, max(treated, default=None))


def clerks_birth(theirs: list[File], line: Line | None) -> tuple[dt.date | None, set[str]]:
    stated = {one.born for one in theirs if one.born}
    if line is None or line.born is None:
        return (stated.pop() if len(stated) == 1 else None), set()
    if stated == {line.born}:
        return line.born, set()
    return dt.date(line.born.year, 12, 31), {"birth_date_contradicts"} if stated else set()


def doubts_of(files: list[File]) -> Iterator[str]:
    for one in files:
        header = one.header
        if one.number is None:
            yield "patient_id_missing"
        elif is_placeholder(header["patient_id"]):
            yield "patient_id_placeholder"
        if one.state != "good":
            yield "file_not_good"
        if "patient_identity_removed" in header:
            yield "deidentified"
        if is_phantom(header.get("patient_id", "")) or is_phantom(header.get("patient_name", "")):
            yield "phantom"
        if one.is_unclear:
            yield "no_usable_date"
        if one.days and max(one.days) - min(one.days) > A_YEAR:
            yield "dates_disagree"


def doubts_about(world: World, root: Number | None, theirs: list[File]) -> Iterator[str]:
    if any(one.is_unclear for one in theirs):
        yield "no_usable_date"
    # Names may differ between people who were merged, birth dates may not.
    for number in {one.number for one in theirs}:
        if len({one.name for one in theirs if one.number == number and one.name}) > 1:
            yield "patient_id_ambiguous"
    if len({one.born for one in theirs if one.born}) > 1:
        yield "patient_id_ambiguous"
    others = {world.root(one.number) for one in world.files if one.number} - {root}
    if root is not None and any(may_be_one(world, root, other) for other in others):
        yield "patient_id_ambiguous"


def may_be_one(world: World, root: Number, other: Number) -> bool:
    """Say whether two people of the site may be one who is numbered twice."""
    ours, theirs = world.of(root), world.of(other)
    born, born_too = ({one.born for one in some if one.born} for some in (ours, theirs))
    name, name_too = ({one.name for one in some if one.name} for some in (ours, theirs))
    for mine in {one.number for one in ours}:
        for its in {one.number for one in theirs}:
            assert mine is not None
            assert its is not None
            if bare(mine[1]) != bare(its[1]):
                continue
            if born and name and (born, name) == (born_too, name_too):
                return True
            open_issuer = mine[1].casefold() == its[1].casefold() and not (mine[0] and its[0])
            apart = (
                born != born_too if born and born_too else name and name_too and name != name_too
            )
            if open_issuer and not apart:
                return True
    return False


def bare(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum()).lstrip("0")


# Holding them against each other


def fill(clinic: Clinic, world: World) -> None:
    for store in STATES:
        clinic.has(entries(world, store), store=store)
    lines = [
        clinic.line(
            one.patient_id,
            born="" if one.born is None else one.born.isoformat(),
            treated="" if one.treated is None else one.treated.isoformat(),
            into=one.into,
        )
        for one in world.lines
    ]
    import_patients(clinic.site, clinic.list_of(*lines))


def entries(world: World, store: str) -> Iterator[ManifestEntry]:
    for number, one in enumerate(world.files):
        if one.store == store:
            path = f"{number}.dcm".encode()
            yield entry(path, state=one.state, sha256=f"{number:064x}", dicom=one.header or None)


def compare(clinic: Clinic, world: World, seed: int) -> dict[str, int]:
    """Compare every decision with the clerk's; return how many there are of each verdict."""
    site, names = clinic.site, clinic.site.catalog.keys.pseudonyms
    verdicts = {"keep": 0, "review": 0, "dispose": 0}
    uids = {one.header.get("study_instance_uid") for one in world.files} - {None}
    with site.catalog.reading() as session:
        policy = current_policy(site, session)
        found = {(d.store, d.study): d for _, d in decisions(site, session, now=NOW)}
        some = random.Random(seed).sample(sorted(found), min(9, len(found)))
        keys = {study for _, study in some}
        narrow = [d for _, d in decisions(site, session, studies=keys, now=NOW)]
    assert {(d.store, d.study): d for d in narrow} == {
        key: decision for key, decision in found.items() if key[1] in keys
    }
    count = 0
    for uid in sorted(filter(None, uids)):
        for store in STATES:
            facts = clerks_facts(world, store, uid)
            if not facts.files:
                continue
            count += 1
            theirs = oracle.judge(facts, policy, [], NOW.date())
            ours: Decision = found[store, names.study(uid)]
            verdicts[ours.verdict] += 1
            if "several_patients" in theirs.reasons:
                # Whose list line and birth date would count is nobody's question then.
                assert (ours.verdict, "several_patients" in ours.reasons) == ("review", True)
                continue
            said = (ours.verdict, ours.due, set(ours.reasons))
            assert said == (theirs.verdict, theirs.due, set(theirs.reasons)), (seed, store, uid)
    assert count == len(found)
    return verdicts


@pytest.fixture
def site(small_clinic: Clinic) -> Clinic:
    for name in ("us-tx-dental", "us-ny-dental", "us-mqsa"):
        adopt(small_clinic.site, name)
    return small_clinic


@pytest.mark.parametrize("seed", range(8))
def test_made_up_images_go_when_the_clerk_lets_them(site: Clinic, seed: int) -> None:
    world = made(random.Random(seed))
    fill(site, world)
    verdicts = compare(site, world, seed)
    assert all(verdicts.values()), verdicts


@pytest.mark.parametrize("seed", range(2))
def test_real_headers_go_when_the_clerk_lets_them(site: Clinic, seed: int) -> None:
    world = real(random.Random(seed))
    fill(site, world)
    verdicts = compare(site, world, seed)
    assert verdicts["review"] > verdicts["keep"] + verdicts["dispose"] > 0, verdicts


@pytest.mark.parametrize("seed", range(3))
def test_findings_about_everything_change_nothing_but_reviews_and_no_date_to_an_earlier_one(
    site: Clinic, seed: int
) -> None:
    fill(site, made(random.Random(seed)))
    moved = 0
    with site.site.catalog.reading() as session:
        policy = current_policy(site.site, session)
        before = list(study_facts(site.site, session))
        after = list(study_facts(site.site, session, determined=everything(site, session, before)))
    for one, other in zip(before, after, strict=True):
        settled = {it.doubt for it in other.settled}
        assert settled <= one.doubts & SETTLEABLE.keys() | {"date_before_1980"}
        assert replace(other, settled=(), born=one.born) == one
        assert one.born is None or (other.born or one.born) >= one.born
        (ours,), (theirs,) = (decide([it], policy, [], NOW.date()) for it in (one, other))
        assert ours.verdict in ("review", theirs.verdict)
        assert ours.due is None or theirs.due is None or theirs.due >= ours.due
        moved += ours.verdict != theirs.verdict
    assert moved


def everything(site: Clinic, session: Session, some: list[StudyFacts]) -> Determined:
    """Settle every doubt about every study, as far as a finding can."""
    found = grounds(site.site, session, {one.study for one in some})
    return Determined(
        site.site,
        session,
        [
            Determination(
                id=f"DET-{study}-{doubt}",
                study_key=study,
                doubt=doubt,
                facts=digest,
                asked_by="privacy",
                asked_at=NOW,
                finding_enc=b"",
                made_by="it",
                made_at=NOW,
            )
            for study, one in found.items()
            for doubt, digest in one.digests.items()
        ],
    )
