"""From the catalog to the verdict: one thing is wrong, and the study does not go.

Every attack begins with a study that is due, and says so before it changes one thing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import NamedTuple

import pytest

from orchestrator.actions.retention.adopt import adopt
from orchestrator.actions.retention.decisions import decisions
from orchestrator.actions.retention.patients import import_patients
from orchestrator.errors import RefusedError
from orchestrator.manifest import ManifestEntry
from orchestrator.retention.study import Decision
from tests.integration.patients.conftest import NOW, Clinic
from tests.support.catalog_rows import entry, image

OF_P1 = {"patient_name": "DOE^JANE", "patient_birth_date": "19700101"}


def of_p1(study: int = 1, number: int = 1, **fields: str) -> ManifestEntry:
    return image(
        study, number, **{"patient_id": "0P1", "study_date": "20100101", **OF_P1, **fields}
    )


def without(made: ManifestEntry, *names: str) -> ManifestEntry:
    assert made.dicom is not None
    left = {name: value for name, value in made.dicom.items() if name not in names}
    return entry(made.path, sha256=made.sha256, dicom=left)


def listed(
    clinic: Clinic, *more: str, treated: str = "2010-01-01", born: str = "1970-01-01"
) -> None:
    line = clinic.line("0P1", born=born, treated=treated)
    import_patients(clinic.site, clinic.list_of(line, *more))


def decided(clinic: Clinic, study: int = 1, store: str = "xrays") -> Decision:
    """Decide about one study, alone and among all."""
    key = clinic.site.catalog.keys.pseudonyms.study(f"1.2.3.{study}")
    with clinic.site.catalog.reading() as session:
        now = clinic.clock.now()
        one = [d for _, d in decisions(clinic.site, session, studies=[key], now=now)]
        every = [d for _, d in decisions(clinic.site, session, now=now)]
    (alone,) = [decision for decision in one if decision.store == store]
    assert alone in every
    return alone


def due(clinic: Clinic) -> Clinic:
    """Give a site under the law of Texas with a study that is due."""
    adopt(clinic.site, "us-tx-dental")
    clinic.has([of_p1(), of_p1(number=2)])
    listed(clinic)
    assert decided(clinic).verdict == "dispose"
    return clinic


@pytest.fixture
def site(small_clinic: Clinic) -> Clinic:
    return due(small_clinic)


class Attack(NamedTuple):
    """What is done to the site, and what must be answered."""

    name: str
    act: Callable[[Clinic], None]
    verdict: str
    reason: str


def has(*entries: ManifestEntry, store: str = "xrays") -> Callable[[Clinic], None]:
    return lambda clinic: clinic.has(entries, store=store, run="r2")


def undated_birth(clinic: Clinic) -> None:
    clinic.has([of_p1(patient_birth_date="19000101")], run="r2")
    clinic.has([of_p1(number=2, patient_birth_date="19000101")], run="r2")
    listed(clinic, born="")


def merged(clinic: Clinic) -> None:
    clinic.has([image(2, 1, patient_id="P2", study_date="20240101")])
    listed(clinic, clinic.line("P2", into="0P1"))


def merged_elsewhere(clinic: Clinic) -> None:
    clinic.has([image(2, 1, patient_id="P2", study_date="20100101")], store="annex")
    listed(clinic, clinic.line("P2", into="0P1"))


NEWER = {"study_date": "20240101"}
ATTACKS = [
    Attack("newer here", has(of_p1(2, **NEWER)), "keep", "period_runs"),
    Attack(
        "newer, of no study",
        has(without(of_p1(2, **NEWER), "study_instance_uid")),
        "keep",
        "period_runs",
    ),
    Attack("newer file", has(of_p1(2, instance_creation_date="20240101")), "keep", "period_runs"),
    Attack("newer, merged", merged, "keep", "period_runs"),
    Attack("merged, under another law", merged_elsewhere, "review", "no_adopted_schedule"),
    Attack(
        "newer, with an issuer",
        has(of_p1(2, **NEWER, issuer_of_patient_id="ELM")),
        "review",
        "patient_id_ambiguous",
    ),
    Attack(
        "newer, with an issuer and nothing else",
        has(image(2, 1, patient_id="0P1", **NEWER, issuer_of_patient_id="ELM"), store="annex"),
        "review",
        "patient_id_ambiguous",
    ),
    Attack(
        "newer, number without its zero",
        has(of_p1(2, **NEWER, patient_id="p 1")),
        "review",
        "patient_id_ambiguous",
    ),
    Attack(
        "undated, elsewhere",
        has(without(of_p1(2), "study_date"), store="annex"),
        "review",
        "no_usable_date",
    ),
    Attack(
        "date nobody can read, elsewhere",
        has(of_p1(2, study_date="20240231", series_date="20100101")),
        "review",
        "no_usable_date",
    ),
    Attack("unreadable", has(entry(b"p/1/2.dcm", state="unreadable")), "review", "file_not_good"),
    Attack("changed", has(entry(b"p/1/2.dcm", state="changed")), "review", "file_not_good"),
    Attack("replaced", has(entry(b"p/1/2.dcm", sha256="e" * 64)), "review", "file_not_good"),
    Attack("other patient", has(of_p1(1, 3, patient_id="P7")), "review", "several_patients"),
    Attack("no patient", has(without(of_p1(1, 3), "patient_id")), "review", "patient_id_missing"),
    Attack(
        "other birth date",
        has(of_p1(1, 3, patient_birth_date="19700102")),
        "review",
        "patient_id_ambiguous",
    ),
    Attack("other name", has(of_p1(1, 3, patient_name="ROE")), "review", "patient_id_ambiguous"),
    Attack(
        "other birth date than in the list",
        has(*(of_p1(1, n, patient_birth_date="19710101") for n in (1, 2))),
        "review",
        "birth_date_contradicts",
    ),
    Attack("birth unknown", undated_birth, "review", "birth_date_unknown"),
    Attack("in the future", has(of_p1(1, 3, study_date="20620101")), "review", "date_in_future"),
    Attack("in 1900", has(of_p1(1, 3, study_date="19000101")), "review", "date_before_1980"),
    Attack(
        "before birth",
        has(*(of_p1(1, n, study_date="19690101") for n in (1, 2))),
        "review",
        "date_before_birth",
    ),
    Attack("years apart", has(of_p1(1, 3, study_date="20120101")), "review", "dates_disagree"),
    Attack("one undated", has(without(of_p1(1, 3), "study_date")), "review", "no_usable_date"),
    Attack("unreadable date", has(of_p1(1, 3, series_date="2O20")), "review", "no_usable_date"),
    Attack(
        "same study elsewhere, of nobody",
        has(without(of_p1(), "patient_id"), store="annex"),
        "review",
        "patient_id_missing",
    ),
    Attack(
        "under a law nobody adopted", has(of_p1(), store="annex"), "review", "no_adopted_schedule"
    ),
    Attack("a store nobody configures", has(of_p1(2), store="sold"), "review", "no_jurisdiction"),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_one_thing_wrong_keeps_the_study(site: Clinic, attack: Attack) -> None:
    attack.act(site)
    decision = decided(site)
    assert decision.verdict == attack.verdict
    assert attack.reason in decision.reasons


def test_a_newer_image_in_another_store_keeps_on_both_databases(clinic: Clinic) -> None:
    due(clinic)
    adopt(clinic.site, "us-ny-dental")
    clinic.has([of_p1(2, **NEWER)], store="annex")
    assert decided(clinic).reasons == decided(clinic, 2, "annex").reasons == ("period_runs",)
    clinic.has([without(of_p1(2, **NEWER), "study_instance_uid")], store="annex", run="r2")
    assert decided(clinic).reasons == ("period_runs",)
    clinic.has([entry(b"p/1/2.dcm", sha256="e" * 64)], run="r3")
    assert "file_not_good" in decided(clinic).reasons


def test_two_people_of_one_number_are_told_apart_by_their_names(site: Clinic) -> None:
    site.has(
        [
            of_p1(2, **NEWER, issuer_of_patient_id="ELM", patient_birth_date="19880101"),
            of_p1(3, **NEWER, issuer_of_patient_id="OAK", patient_name="X", patient_birth_date=""),
        ],
        run="r2",
    )
    assert decided(site).verdict == "dispose"


def test_a_study_in_two_states_is_under_both_laws(site: Clinic) -> None:
    """Texas is over after 5 years, New York after 6."""
    listed(site, treated="2020-06-01")
    assert decided(site).verdict == "dispose"
    adopt(site.site, "us-ny-dental")
    site.has([of_p1()], store="annex")
    for store in ("xrays", "annex"):
        decision = decided(site, store=store)
        assert (decision.verdict, decision.due) == ("keep", dt.date(2026, 6, 2))


def test_a_study_is_under_the_law_of_every_store_that_has_images_of_it(site: Clinic) -> None:
    site.has([without(of_p1(), "patient_id")], store="annex")
    for store in ("xrays", "annex"):
        assert set(site.study(1, store).jurisdictions) == {"US-TX", "US-NY"}


def test_nothing_is_due_after_a_list_was_refused_until_one_is_taken(site: Clinic) -> None:
    older = site.list_of(site.line("0P1"), exported="2026-02-01")
    with pytest.raises(RefusedError, match="before the list in force"):
        import_patients(site.site, older)
    assert decided(site).verdict == "dispose"  # it says nothing that is not known better
    site.clock.at += dt.timedelta(hours=1)
    held = site.list_of(site.line("0P1", held="1"), exported="2026-03-09")
    with pytest.raises(RefusedError, match="in the future"):
        import_patients(site.site, held)
    with pytest.raises(RefusedError, match="before the list in force"):
        import_patients(site.site, site.list_of(site.line("0P1"), exported="2026-02-01"))
    decision = decided(site)
    assert (decision.verdict, decision.reasons) == ("review", ("patient_list_refused",))
    site.clock.at += dt.timedelta(hours=1)
    listed(site)  # the one from before is no newer for being offered again
    assert decided(site).reasons == ("patient_list_refused",)
    import_patients(site.site, site.list_of(site.line("0P1"), exported="2026-03-02"))
    assert decided(site).verdict == "dispose"


def test_a_refused_list_counts_by_its_newest_row(site: Clinic) -> None:
    lines = [f"{site.line('0P1', held='1')};2026-03-02T11:00:00Z", f"{site.line('0P2')};2019-01-01"]
    file = site.list_of()
    file.write_text(file.read_text() + "\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(RefusedError, match="days ago"):
        import_patients(site.site, file)
    assert decided(site).reasons == ("patient_list_refused",)
    for exported, reasons in (
        ("2026-03-02T10:59:59Z", ("patient_list_refused",)),
        ("2026-03-02T11:00:00Z", ()),
    ):
        site.clock.at += dt.timedelta(minutes=1)
        line = site.line("0P1", born="1970-01-01", treated="2010-01-01")
        import_patients(site.site, site.list_of(line, exported=exported))
        assert decided(site).reasons == reasons


def test_a_day_begins_at_midnight_at_the_site(site: Clinic) -> None:
    """In Chicago, six hours after Greenwich; the last day is kept through."""
    listed(site, treated="2021-03-02")
    site.clock.at = dt.datetime(2026, 3, 3, 5, 59, 59, 999999, tzinfo=dt.UTC)
    assert decided(site).verdict == "keep"
    site.clock.at = dt.datetime(2026, 3, 3, 6, tzinfo=dt.UTC)
    assert decided(site).verdict == "dispose"


@pytest.mark.parametrize("days", [-60, -1, 31, 365])
def test_a_clock_that_was_set_makes_nothing_due(site: Clinic, days: int) -> None:
    """The list says on which day it was exported: a day before it is no day to decide on."""
    site.clock.at = NOW + dt.timedelta(days=days)
    if days == -1:
        site.clock.at -= dt.timedelta(hours=12)
    decision = decided(site)
    assert (decision.verdict, decision.reasons) == ("review", ("patient_list_stale",))


def test_an_image_was_received_when_its_file_was_written(small_clinic: Clinic) -> None:
    small_clinic.has([of_p1(), of_p1(number=2)])
    found = small_clinic.study(1)
    assert (found.newest_image, found.received) == (dt.date(2010, 1, 1), dt.date(2023, 11, 14))
