"""Doubts that two people settle, on the facts of a real catalog: what counts, and for how long."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable

import pytest

from orchestrator.actions.holds import place
from orchestrator.actions.ledger import mirror
from orchestrator.actions.ledger.record import Event
from orchestrator.actions.retention import determine as acts
from orchestrator.actions.retention.adopt import adopt
from orchestrator.actions.retention.decisions import decisions
from orchestrator.actions.retention.explain import explain
from orchestrator.actions.retention.findings import Found, listing
from orchestrator.actions.retention.patients import import_patients
from orchestrator.catalog import determinations as rows
from orchestrator.errors import NotFoundError, OrchestratorError, RefusedError, UsageError
from orchestrator.manifest import ManifestEntry
from orchestrator.retention.study import Decision, StudyFacts
from tests.integration.patients.conftest import Clinic
from tests.support.catalog_rows import entry, image

FINDING = "Zzyzx, seen in the paper chart by both of us"
LIST = {"born": "1970-05-05", "treated": "2016-03-01"}


def old(study: int, number: int, **fields: str) -> ManifestEntry:
    """An image of P1 that may go since 2021, unless something is wrong with it."""
    return image(study, number, **{"patient_id": "P1", "study_date": "20160301", **fields})


def without(made: ManifestEntry, *fields: str) -> ManifestEntry:
    assert made.dicom is not None
    left = {name: value for name, value in made.dicom.items() if name not in fields}
    return entry(made.path, size=1000, sha256=made.sha256, state=made.state, dicom=left)


def undated(study: int, number: int) -> ManifestEntry:
    return without(old(study, number), "study_date")


def ready(clinic: Clinic, *lines: str) -> Clinic:
    for name in ("us-tx-dental", "us-ny-dental"):
        adopt(clinic.site, name)
    import_patients(clinic.site, clinic.list_of(*(lines or (clinic.line("P1", **LIST),))))
    return clinic


@pytest.fixture
def site(small_clinic: Clinic) -> Clinic:
    return ready(small_clinic)


def key(clinic: Clinic, study: int) -> str:
    return clinic.site.catalog.keys.pseudonyms.study(f"1.2.3.{study}")


def decided(clinic: Clinic, study: int = 1, store: str = "xrays") -> tuple[StudyFacts, Decision]:
    """Decide about one study, alone and among all."""
    with clinic.site.catalog.reading() as session:
        now = clinic.clock.now()
        every = list(decisions(clinic.site, session, now=now))
        alone = list(decisions(clinic.site, session, studies=[key(clinic, study)], now=now))
    wanted = (store, key(clinic, study))
    (found,) = [pair for pair in every if (pair[0].store, pair[0].study) == wanted]
    assert found in alone
    return found


def verdict(clinic: Clinic, study: int = 1) -> tuple[str, tuple[str, ...]]:
    decision = decided(clinic, study)[1]
    return decision.verdict, decision.reasons


def act(clinic: Clinic, actor: str, doubt: str, study: int = 1, finding: str = FINDING) -> Found:
    clinic.site.actor = actor
    return acts.determine(clinic.site, key(clinic, study), doubt, finding)


def settle(clinic: Clinic, doubt: str, study: int = 1) -> str:
    asked = act(clinic, "privacy", doubt, study)
    assert asked.state == "asked"
    made = act(clinic, "it", doubt, study)
    assert (made.state, made.determination) == ("in_force", asked.determination)
    assert (made.asked_by, made.made_by) == ("privacy", "it")
    return made.determination


Change = Callable[[Clinic], None]


def has(*entries: ManifestEntry, store: str = "xrays", gone: tuple[bytes, ...] = ()) -> Change:
    return lambda clinic: clinic.has(entries, store=store, gone=gone, run="r2")


SETTLED: list[tuple[str, list[ManifestEntry], Change]] = [
    ("no_usable_date", [old(1, 1), undated(1, 2)], has(undated(1, 3))),
    ("no_usable_date", [old(1, 1), undated(2, 2)], has(undated(2, 3), store="annex")),
    ("no_usable_date", [old(1, 1, series_date="2O16")], has(old(1, 1, series_date="2O17"))),
    ("date_before_1980", [old(1, 1, study_date="19750102")], has(old(1, 2, study_date="19750102"))),
    (
        "dates_disagree",
        [old(1, 1), old(1, 2, study_date="20100101")],
        has(old(1, 3, study_date="20090101")),
    ),
    (
        "dates_disagree",
        [old(1, 1, acquisition_date="20140101")],
        has(old(1, 2, acquisition_date="20140101")),
    ),
    (
        "patient_id_missing",
        [old(1, 1), without(old(1, 2), "patient_id")],
        has(without(old(1, 3), "patient_id")),
    ),
    (
        "patient_id_ambiguous",
        [old(1, 1, patient_name="DOE^JANE"), old(2, 1, patient_name="ROE^JANE")],
        has(old(3, 1, patient_name="MOE^JANE"), store="annex"),
    ),
    (
        "birth_date_contradicts",
        [old(1, 1, patient_birth_date="19700506")],
        has(old(1, 1, patient_birth_date="19710506")),
    ),
    ("phantom", [old(1, 1, patient_name="QA^JANE")], has(old(1, 1, patient_name="QC^JANE"))),
]


@pytest.mark.parametrize(("doubt", "entries", "change"), SETTLED)
def test_a_finding_of_two_people_counts_until_what_raised_the_doubt_changes(
    site: Clinic, doubt: str, entries: list[ManifestEntry], change: Change
) -> None:
    for one in entries:
        site.has([one], store="annex" if one.path.startswith(b"p/2/") else "xrays")
    assert verdict(site) == ("review", (doubt,))
    name = settle(site, doubt)
    facts, decision = decided(site)
    assert (decision.verdict, decision.reasons) == ("dispose", ())
    assert [(one.doubt, one.determination) for one in facts.settled] == [(doubt, name)]
    change(site)
    assert verdict(site) == ("review", (doubt,))
    assert decided(site)[0].settled == ()
    assert [one.state for one in listing(site.site)] == ["lapsed"]
    (explained,) = explain(site.site, key(site, 1))
    assert [(one.determination, one.state) for one in explained.not_counting] == [(name, "lapsed")]


def test_a_lost_file_is_settled_once_it_is_gone_and_not_before(site: Clinic) -> None:
    bad = old(1, 2)
    site.has([old(1, 1), entry(bad.path, state="unreadable", dicom=bad.dicom)])
    assert verdict(site) == ("review", ("file_not_good",))
    with pytest.raises(RefusedError, match="is in the store still"):
        act(site, "privacy", "file_not_good")
    site.has([], gone=[bad.path], run="r2")
    settle(site, "file_not_good")
    assert verdict(site) == ("dispose", ())
    site.has([entry(bad.path, state="unreadable", dicom=bad.dicom)], run="r3")
    assert verdict(site) == ("review", ("file_not_good",))


def test_a_file_that_only_moves_changes_no_facts(site: Clinic) -> None:
    site.has([old(1, 1), undated(1, 2)])
    settle(site, "no_usable_date")
    moved = undated(1, 2)
    elsewhere = entry(b"q/2.dcm", size=1000, sha256=moved.sha256, dicom=moved.dicom)
    site.has([elsewhere], gone=[moved.path], run="r2")
    assert verdict(site) == ("dispose", ())


def test_the_birth_date_that_keeps_longest_counts(site: Clinic) -> None:
    born = "20080607"
    site.has([old(1, 1, patient_birth_date=born), old(2, 1, patient_birth_date="19700505")])
    both = {"birth_date_contradicts", "patient_id_ambiguous"}
    before = decided(site)[1]
    assert set(before.reasons) == both
    settle(site, "birth_date_contradicts")
    assert verdict(site) == ("review", ("patient_id_ambiguous",))
    settle(site, "patient_id_ambiguous")
    facts, decision = decided(site)
    assert facts.born == dt.date(2008, 6, 7)
    assert (decision.verdict, decision.due) == ("keep", dt.date(2029, 6, 8))  # until 21 in Texas
    assert before.due is not None
    assert decision.due > before.due
    # Nobody has looked at the other study.
    assert set(decided(site, 2)[1].reasons) == both


REFUSED: list[tuple[str, list[ManifestEntry], str]] = [
    ("no_usable_date", [undated(1, 1)], "raise it too"),
    ("patient_id_missing", [without(old(1, 1), "patient_id")], "raise it too"),
    ("phantom", [old(1, 1, quality_control_subject="YES")], "marked"),
    ("date_in_future", [old(1, 1, study_date="20620101")], "no finding settles"),
    ("date_before_birth", [old(1, 1, patient_birth_date="20170101")], "no finding settles"),
    ("several_patients", [old(1, 1), old(1, 2, patient_id="P2")], "no finding settles"),
    ("no_usable_date", [old(1, 1)], "has no doubt"),
]


@pytest.mark.parametrize(("doubt", "entries", "why"), REFUSED)
def test_what_a_finding_cannot_settle_is_refused_at_once(
    site: Clinic, doubt: str, entries: list[ManifestEntry], why: str
) -> None:
    site.has(entries)
    with pytest.raises(RefusedError, match=why):
        act(site, "privacy", doubt)
    assert listing(site.site) == []


def test_what_the_list_or_another_number_raises_no_look_at_images_settles(
    small_clinic: Clinic,
) -> None:
    line = small_clinic.line
    ready(small_clinic, line("P1", **LIST), line("P1", treated="2015-01-01"), line("7"))
    small_clinic.has([old(1, 1, patient_name="DOE^J"), old(3, 1, patient_name="ROE^J")])
    names = {"patient_name": "DOE^A", "patient_birth_date": "19800102"}
    small_clinic.has([old(2, 1, patient_id="7", **names), old(4, 1, patient_id="007", **names)])
    for study in (1, 2):
        assert "patient_id_ambiguous" in decided(small_clinic, study)[1].reasons
        with pytest.raises(RefusedError, match="patient list, another patient's number"):
            act(small_clinic, "privacy", "patient_id_ambiguous", study)


def test_two_different_people_are_needed_the_first_of_compliance(site: Clinic) -> None:
    site.has([old(1, 1), undated(1, 2)])
    actors = dict(site.site.config.actors)
    actors["second"] = dataclasses.replace(actors["privacy"], key="second", name="Rivacy, P.")
    site.site.config = dataclasses.replace(site.site.config, actors=actors)
    for actor in ("system", "it", "porter"):
        with pytest.raises(RefusedError):
            act(site, actor, "no_usable_date")
    act(site, "privacy", "no_usable_date")
    for actor in ("privacy", "second", "porter", "system"):
        with pytest.raises(RefusedError):
            act(site, actor, "no_usable_date")
    assert verdict(site) == ("review", ("no_usable_date",))
    assert act(site, "it", "no_usable_date").state == "in_force"
    with pytest.raises(RefusedError, match="settled already"):
        act(site, "it", "no_usable_date")


@pytest.mark.parametrize("roles", [None, frozenset({"operator"})])
def test_whoever_has_left_is_confirmed_by_nobody(
    site: Clinic, roles: frozenset[str] | None
) -> None:
    """The same person may stand in the site file under another key and name by now."""
    site.has([old(1, 1), undated(1, 2)])
    name = act(site, "privacy", "no_usable_date").determination
    actors = dict(site.site.config.actors)
    gone = actors.pop("privacy")
    if roles is not None:
        actors["privacy"] = dataclasses.replace(gone, roles=roles)
    actors["again"] = dataclasses.replace(gone, key="again", name="R. Again")
    site.site.config = dataclasses.replace(site.site.config, actors=actors)
    with pytest.raises(RefusedError, match="any more; withdraw it"):
        act(site, "again", "no_usable_date")
    acts.withdraw(site.site, name)
    assert act(site, "again", "no_usable_date").state == "asked"


@pytest.mark.parametrize("finding", ["", "  \n", "x" * 2001])
def test_a_finding_says_something(site: Clinic, finding: str) -> None:
    site.has([old(1, 1), undated(1, 2)])
    with pytest.raises(UsageError, match="a finding has between"):
        act(site, "privacy", "no_usable_date", finding=finding)
    with pytest.raises(UsageError, match="there is no such doubt"):
        act(site, "privacy", "bad_mood")
    with pytest.raises(NotFoundError):
        act(site, "privacy", "no_usable_date", study=9)


def test_what_was_asked_about_other_facts_is_asked_anew(site: Clinic) -> None:
    site.has([old(1, 1), undated(1, 2)])
    first = act(site, "privacy", "no_usable_date").determination
    site.has([undated(1, 3)], run="r2")
    with pytest.raises(RefusedError, match="compliance"):
        act(site, "it", "no_usable_date")
    second = settle(site, "no_usable_date")
    found = {one.determination: one for one in listing(site.site)}
    assert (found[first].state, found[second].state) == ("withdrawn", "in_force")


def test_what_is_withdrawn_is_as_if_it_was_never_made(clinic: Clinic) -> None:
    ready(clinic)
    clinic.has([old(1, 1), undated(1, 2)])
    before = decided(clinic)
    name = settle(clinic, "no_usable_date")
    assert verdict(clinic) == ("dispose", ())
    clinic.site.actor = "porter"
    assert acts.withdraw(clinic.site, name).state == "withdrawn"
    assert decided(clinic) == before
    with pytest.raises(RefusedError, match="was withdrawn"):
        acts.withdraw(clinic.site, name)
    with pytest.raises(NotFoundError):
        acts.withdraw(clinic.site, "DET-2020-0001")
    assert settle(clinic, "no_usable_date") != name
    assert verdict(clinic) == ("dispose", ())


def test_a_hold_keeps_what_a_finding_would_let_go(site: Clinic) -> None:
    site.has([old(1, 1), undated(1, 2)])
    settle(site, "no_usable_date")
    site.site.actor = "privacy"
    place.place(site.site, place.Wish("study", "24-CV-1", "a claim", study=key(site, 1)))
    assert verdict(site) == ("keep", ("on_hold",))


def test_what_was_found_is_for_compliance_and_stands_nowhere_in_clear(site: Clinic) -> None:
    site.has([old(1, 1), undated(1, 2)])
    name = settle(site, "no_usable_date")
    with pytest.raises(RefusedError):
        listing(site.site, findings=True)
    site.site.actor = "privacy"
    (shown,) = listing(site.site, findings=True)
    assert shown.findings == (FINDING, FINDING)
    with site.site.catalog.reading() as session:
        row = rows.get(session, name)
        assert b"Zzyzx" not in row.finding_enc + (row.second_finding_enc or b"")
    told = [stored.data for stored in site.site.ledger.reader().entries()]
    mine = [one for one in told if b"determination." in one]
    assert len(mine) == 2
    assert not any(b"Zzyzx" in one or key(site, 1).encode() in one for one in told)
    assert all(b'"subjects":{"study":[' in one for one in mine)


def forge(clinic: Clinic, name: str, **changes: object) -> None:
    with clinic.site.catalog.transaction() as session:
        row = rows.get(session, name)
        for column, value in changes.items():
            setattr(row, column, value)
        rows.save(session, row)


def test_the_catalog_alone_settles_nothing(site: Clinic) -> None:
    """An older catalog, or one that somebody edited, does not outweigh the ledger."""
    site.has([old(1, 1), undated(1, 2), old(2, 1), undated(2, 2)])
    name = settle(site, "no_usable_date", 1)
    asked = act(site, "privacy", "no_usable_date", 2).determination
    with site.site.catalog.reading() as session:
        facts = rows.get(session, asked).facts
    forge(site, asked, made_by="it", made_at=site.clock.now())
    assert verdict(site, 2)[0] == "review"
    forge(site, name, study_key=key(site, 2), facts=facts)
    assert verdict(site, 2)[0] == "review"
    assert [one.state for one in listing(site.site)] == ["unrecorded", "unrecorded"]


def test_what_the_ledger_says_was_withdrawn_stays_so_in_an_older_catalog(site: Clinic) -> None:
    site.has([old(1, 1), undated(1, 2)])
    name = settle(site, "no_usable_date")
    acts.withdraw(site.site, name)
    forge(site, name, withdrawn_by=None, withdrawn_at=None)
    assert verdict(site) == ("review", ("no_usable_date",))
    assert [one.state for one in listing(site.site)] == ["withdrawn"]


def test_what_an_older_catalog_has_lost_counts_no_more_and_its_id_is_not_given_out_again(
    site: Clinic,
) -> None:
    site.has([old(1, 1), undated(1, 2)])
    lost = settle(site, "no_usable_date")
    with site.site.catalog.transaction() as session:
        session.delete(rows.get(session, lost))
    assert verdict(site) == ("review", ("no_usable_date",))
    assert [(one.determination, one.state) for one in listing(site.site)] == [(lost, "lost")]
    assert settle(site, "no_usable_date") > lost


def test_what_the_ledger_could_not_be_told_counts_once_it_was(
    site: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.has([old(1, 1), undated(1, 2)])
    act(site, "privacy", "no_usable_date")

    def full(*_: object) -> list[Event]:
        raise OrchestratorError("no space")

    with monkeypatch.context() as broken:
        broken.setattr(acts, "record_new", full)
        assert act(site, "it", "no_usable_date").state == "unrecorded"
    assert verdict(site) == ("review", ("no_usable_date",))
    assert act(site, "it", "no_usable_date").state == "in_force"
    assert verdict(site) == ("dispose", ())
    with site.site.catalog.reading() as session:
        assert len(list(mirror.recorded(site.site, session, "determination.made"))) == 1
        assert len(rows.listing(session)) == 1
