"""What a hold keeps: studies, snapshots, media; what the catalog cannot tell is kept as well."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import pytest

from orchestrator.actions.holds import coverage, effects, guard, place, release, witnessed
from orchestrator.actions.holds.listing import hold_list
from orchestrator.actions.holds.place import Wish
from orchestrator.actions.sanitization import attest
from orchestrator.catalog import copies, disposals, hold_cover, holds, media, snapshots
from orchestrator.catalog.copy_tables import CopyState, Medium
from orchestrator.catalog.disposal_tables import Disposal, DisposalStudy, SnapshotReplacement
from orchestrator.catalog.retention_tables import ListedPatient, PatientList
from orchestrator.engines.interface import StoredFile
from orchestrator.engines.layout import RepositoryFile
from orchestrator.errors import NotFoundError, OrchestratorError, RefusedError, UsageError
from tests.integration.holds.conftest import Nights, run_id, snapshot_id
from tests.support.catalog_rows import NOW, REPOSITORY, image
from tests.support.site import STORE


def wish(kind: str, **changes: object) -> Wish:
    values: dict[str, object] = {"kind": kind, "matter": "22-cv-100", "reason": "a claim"}
    return Wish(**(values | changes))  # type: ignore[arg-type]


def hold(nights: Nights, kind: str, **changes: object) -> str:
    return place.place(nights.site, wish(kind, **changes)).hold.hold


def entries(nights: Nights) -> list[dict[str, object]]:
    reader = nights.site.ledger.reader()
    return [json.loads(one.data) for one in reader.entries()]


def test_hold_keeps_every_snapshot_that_had_the_study_forgotten_ones_too(nights: Nights) -> None:
    nights.back_up(1, [image(1, 1)])
    nights.back_up(2, [image(2, 1), image(2, 2)])
    nights.back_up(3)
    nights.back_up(4, gone=[b"p/2/1.dcm", b"p/2/2.dcm"])
    nights.forget(2)
    assert nights.held() == set()
    name = hold(nights, "study", study=nights.study(2))
    assert nights.held() == {2, 3}
    site = nights.site
    with guard.guarded(site) as session:
        both = guard.held_studies(site, session, STORE, [nights.study(1), nights.study(2)])
    assert both == {nights.study(2): (name,)}


def test_hold_by_patient_covers_everybody_merged_and_days_cover_what_has_no_date(
    nights: Nights,
) -> None:
    nights.back_up(1, [image(1, 1), image(2, 4), image(3, 9), image(4, 1, study_date="")])
    site = nights.site
    with site.catalog.transaction() as session:
        row = PatientList(
            id="l", state="in_force", sha256="0", imported_at=NOW, imported_by="it", rows=2
        )
        session.add(row)
        session.flush()
        for one, other in ((1, 3), (2, 3), (3, None)):
            into = None if other is None else nights.patient(other)
            key = nights.patient(one)
            session.add(
                ListedPatient(patient_key=key, list_id="l", merged_into=into, details_enc=b"")
            )
    every = [nights.study(number) for number in (1, 2, 3, 4)]

    def covered() -> list[int]:
        with guard.guarded(site) as session:
            found = guard.held_studies(site, session, STORE, every)
        return [number for number, key in enumerate(every, 1) if key in found]

    name = hold(nights, "patient", patients=(nights.patient(2),))
    assert covered() == [1, 2, 3]
    end(nights, name)
    assert covered() == []
    # The images are of 2, 5, 10 January; the fourth study bears no date at all.
    name = hold(nights, "dates", dates_from=dt.date(2026, 1, 3), dates_to=dt.date(2026, 1, 9))
    assert covered() == [2, 4]
    assert hold_list(site)[0].studies == 2
    end(nights, name)
    hold(nights, "store", store=STORE)
    assert covered() == [1, 2, 3, 4]
    assert nights.held() == {1}


def end(nights: Nights, name: str) -> None:
    site = nights.site
    assert release.release(site, name, "settled").state == "release_asked"
    site.actor = "it"
    assert release.release(site, name, "settled").state == "released"
    site.actor = "privacy"


def test_patient_of_the_list_is_found_by_images_that_name_no_issuer(nights: Nights) -> None:
    nights.back_up(1, [image(1, 1), image(2, 1, issuer_of_patient_id="ELM")])
    site = nights.site
    store = site.config.stores[STORE]
    object.__setattr__(store, "issuer", "OAK")
    with site.catalog.transaction() as session:
        holds.gate(session)
        names = coverage.patient_names(site, "OAK", "P1")
        ids = place.add(site, session, [wish("patient", patients=names, source="patient_list")] * 2)
        assert ids[0] == ids[1], "one patient, one hold"
    with guard.guarded(site) as session:
        found = guard.held_studies(site, session, STORE, [nights.study(1), nights.study(2)])
    assert set(found) == {nights.study(1)}
    assert nights.held() == {1}


def test_held_file_that_is_overwritten_keeps_every_snapshot_since_the_first(
    nights: Nights,
) -> None:
    """The path is there still, and no row says any more what it once held."""
    nights.back_up(1, [image(2, 1)])
    nights.back_up(2, [image(1, 1)])
    nights.back_up(3)
    hold(nights, "study", study=nights.study(1))
    assert nights.held() == {2, 3}

    other = replace(image(3, 1), path=b"p/1/1.dcm")
    nights.back_up(4, [other])
    nights.back_up(5)
    assert nights.held() == {2, 3, 4, 5}
    with nights.site.catalog.reading() as session:
        assert not hold_cover.studies(
            session, STORE, hold_cover.Cover("study", study=nights.study(1))
        )
    with guard.guarded(nights.site) as session:
        still = guard.held_studies(nights.site, session, STORE, [nights.study(1)])
    assert set(still) == {nights.study(1)}


def test_catalog_made_anew_holds_what_it_cannot_know(nights: Nights) -> None:
    for night in (1, 2):
        nights.back_up(night)
    nights.back_up(3, [image(1, 1)])
    with nights.site.catalog.transaction() as session:
        witnessed.note_records(nights.site, session, STORE, run_id(3))
    assert nights.held() == set(), "nothing is on hold"
    hold(nights, "study", study=nights.study(1))
    assert nights.held() == {1, 2, 3}


def test_replaced_snapshot_is_held_only_while_nothing_kept_speaks_for_it(nights: Nights) -> None:
    nights.back_up(1, [image(1, 1), image(2, 1)])
    site = nights.site
    with site.catalog.transaction() as session:
        disposals.add(session, batch("D-2026-0001"), [of_batch(nights, 2, "primary_removed")])
        new = snapshots.get(session, snapshot_id(1)).model_dump()
        snapshots.add(session, snapshots.Snapshot(**(new | {"id": snapshot_id(9)})))
        row = SnapshotReplacement(
            old=snapshot_id(1),
            new=snapshot_id(9),
            disposal="D-2026-0001",
            repository_id=REPOSITORY,
            kind="data",
            at=NOW,
        )
        disposals.add_replacements(session, [row])
    nights.forget(1)
    kept = hold(nights, "study", study=nights.study(1))
    assert nights.held() == {9}, "the new one holds it as well"
    nights.forget(9)
    assert nights.held() == {1, 9}, "nothing that is kept speaks for the old one any more"
    end(nights, kept)
    hold(nights, "study", study=nights.study(2))
    assert 1 in nights.held(), "the held study was taken from the new one: only the old one has it"


def batch(name: str, state: str = "executing") -> Disposal:
    return Disposal(
        id=name, state=state, plan_digest="0", plan={}, proposed_by="it", proposed_at=NOW
    )


def of_batch(nights: Nights, number: int, state: str) -> DisposalStudy:
    return DisposalStudy(
        disposal="D-2026-0001",
        store=STORE,
        study_key=nights.study(number),
        patient_key=nights.patient(number),
        state=state,
        due=NOW.date(),
        schedule_id="s",
        schedule_version="1",
        rule="r",
        citation="c",
        record_class="patient_record",
        dates_from=dt.date(2026, 1, 2),
        dates_to=dt.date(2026, 1, 2),
    )


def test_hold_pauses_the_disposal_under_way_until_no_hold_covers_it(nights: Nights) -> None:
    nights.back_up(1, [image(1, 1)])
    site = nights.site
    with site.catalog.transaction() as session:
        rows = [of_batch(nights, 2, "primary_removed"), of_batch(nights, 1, "withheld")]
        disposals.add(session, batch("D-2026-0001", "residual"), rows)
    harmless = place.place(site, wish("study", study=nights.study(1)))
    assert harmless.paused == ()
    first = place.place(site, wish("study", study=nights.study(2)))
    assert first.paused == ("D-2026-0001",)
    second = hold(nights, "dates", dates_to=dt.date(2026, 1, 2))

    def paused() -> str | None:
        with site.catalog.reading() as session:
            return disposals.get(session, "D-2026-0001").paused

    end(nights, first.hold.hold)
    assert paused() == second
    with site.catalog.transaction() as session:
        holds.gate(session)
        disposals.set_studies(session, "D-2026-0001", [(STORE, nights.study(2))], state="withheld")
        assert effects.unpause_where_free(site, session, "D-2026-0001")
    assert paused() is None


def test_refused_removal_is_an_entry_and_names_nobody(nights: Nights) -> None:
    nights.back_up(1, [image(1, 1)])
    site = nights.site
    with site.catalog.transaction() as session:
        row = Medium(
            id="m1",
            copy_="rotation",
            label="red",
            fs_uuid="u",
            serial="S1",
            state="retired",
            registered_at=NOW,
            retired_at=NOW,
        )
        media.register(session, row, actor="it")
        key = ("rotation", "m1", REPOSITORY)
        session.add(
            CopyState(copy_="rotation", medium="m1", repository_id=REPOSITORY, state="present")
        )
        there = [StoredFile(RepositoryFile("snapshots", snapshot_id(1), 1))]
        copies.record_listed(session, key, there, now=NOW)
    said = attest.Attested("shred", "hdd", NOW, medium="m1", performer="A Person")
    name = hold(nights, "patient", patients=(nights.patient(1),))
    with pytest.raises(RefusedError, match=f"medium red: on hold {name}"):
        attest.attest(site, said)
    last = entries(nights)[-1]
    assert last["type"] == "hold.refused"
    told = {field: last.get(field) for field in ("path", "holds", "held", "medium")}
    assert told == {"path": "sanitization", "holds": [name], "held": 1, "medium": "m1"}
    end(nights, name)
    assert attest.attest(site, said).state == "recorded"


def test_gate_stands_open_to_nobody_who_only_reads(nights: Nights) -> None:
    with pytest.raises(OrchestratorError), nights.site.catalog.reading() as session:
        guard.gate(session)


def test_hold_that_would_keep_nothing_is_not_placed(nights: Nights) -> None:
    nights.back_up(1, [image(1, 1)])
    site = nights.site
    for bad, error in (
        (wish("study", study="a" * 16), NotFoundError),
        (wish("patient", patients=("a" * 16,)), NotFoundError),
        (wish("store", store="nosuch"), NotFoundError),
        (wish("store"), UsageError),
        (wish("study"), UsageError),
        (
            wish("dates", dates_from=dt.date(2026, 2, 1), dates_to=dt.date(2026, 1, 1)),
            UsageError,
        ),
        (wish("study", study=nights.study(1), reason=" "), UsageError),
        (wish("study", study=nights.study(1), matter="P1 v. Elm"), RefusedError),
    ):
        with pytest.raises(error):
            place.place(site, bad)
    site.actor = "it"
    with pytest.raises(RefusedError, match="compliance"):
        place.place(site, wish("study", study=nights.study(1)))
    site.actor = "system"
    with pytest.raises(RefusedError, match="person"):
        place.place(site, wish("study", study=nights.study(1)))
    assert hold_list(site, released=True) == []


def test_release_takes_two_people_one_of_compliance(nights: Nights) -> None:
    nights.back_up(1, [image(1, 1)])
    site = nights.site
    name = hold(nights, "study", study=nights.study(1))
    site.actor = "it"
    assert release.release(site, name, "settled").state == "release_asked"
    assert nights.held() == {1}, "one person ends nothing"
    with pytest.raises(RefusedError, match="another person"):
        release.release(site, name, "settled")
    site.actor = "privacy"
    with pytest.raises(RefusedError, match="it has asked"):
        release.withdraw(site, name)
    site.actor = "it"
    assert release.withdraw(site, name).state == "in_force"
    site.actor = "privacy"
    release.release(site, name, "settled")
    site.actor = "it"
    assert release.release(site, name, "settled").state == "released"
    assert nights.held() == set()
    with pytest.raises(RefusedError, match="was released"):
        release.release(site, name, "settled")
    told = [one["type"] for one in entries(nights) if str(one["type"]).startswith("hold.")]
    assert told == [
        "hold.placed",
        "hold.release_asked",
        "hold.release_withdrawn",
        "hold.release_asked",
        "hold.released",
    ]
    text = json.dumps(entries(nights))
    assert nights.study(1) not in text
    assert "settled" not in text


def test_two_entries_of_one_name_are_one_person_and_release_nothing(nights: Nights) -> None:
    nights.back_up(1, [image(1, 1)])
    site = nights.site
    name = hold(nights, "study", study=nights.study(1))
    people = dict(site.config.actors)
    twin = people["privacy"].name.upper()
    people["twin"] = replace(people["it"], name=f" {twin}")
    object.__setattr__(site.config, "actors", people)
    site.actor = "privacy"
    release.release(site, name, "settled")
    site.actor = "twin"
    with pytest.raises(RefusedError, match="another person"):
        release.release(site, name, "settled")
    assert nights.held() == {1}


def test_release_needs_somebody_of_compliance(nights: Nights) -> None:
    nights.back_up(1, [image(1, 1)])
    site = nights.site
    name = hold(nights, "study", study=nights.study(1))
    people = dict(site.config.actors)
    people["other"] = replace(people["it"], name="O. Ther")
    object.__setattr__(site.config, "actors", people)
    site.actor = "it"
    release.release(site, name, "settled")
    site.actor = "other"
    with pytest.raises(RefusedError, match="compliance"):
        release.release(site, name, "settled")
    assert nights.held() == {1}
