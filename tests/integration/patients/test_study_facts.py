"""What is known of studies: every pitfall of real images by its own name, on both databases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.lab import sample_store
from orchestrator.actions.retention.patients import import_patients
from orchestrator.catalog import suppressions
from orchestrator.dicom.header import read_header
from orchestrator.manifest import ManifestEntry
from tests.integration.patients.conftest import NOW, Clinic
from tests.support.catalog_rows import entry, image, sample_entries

TX, NY = "US-TX", "US-NY"


def without(made: ManifestEntry, *fields: str) -> ManifestEntry:
    assert made.dicom is not None
    left = {name: value for name, value in made.dicom.items() if name not in fields}
    return entry(made.path, size=1000, sha256=made.sha256, state=made.state, dicom=left)


def test_a_plain_study_is_known_by_its_images(clinic: Clinic) -> None:
    clinic.has([image(1, 2), image(1, 9, series_date="20260205"), image(2, 3)])
    found = clinic.study(1)
    assert (found.store, found.files, found.size_bytes) == ("xrays", 2, 2011)
    assert found.patient == clinic.site.catalog.keys.pseudonyms.patient("", "P1")
    assert (found.oldest_image, found.newest_image) == (dt.date(2026, 1, 3), dt.date(2026, 2, 5))
    assert (found.newest_other, found.born, found.died) == (None, None, None)
    assert found.jurisdictions == (TX,)
    assert found.doubts == {"not_in_patient_list"}
    assert not found.is_mammogram


def test_studies_come_by_store_and_pseudonym_and_can_be_narrowed_down(clinic: Clinic) -> None:
    clinic.has([image(number, 1) for number in range(20)])
    clinic.has([image(number, 1) for number in range(100, 110)], store="annex")
    found = [(one.store, one.study) for one in clinic.facts()]
    assert found == sorted(found)
    assert len(found) == 30
    assert {one.store for one in clinic.facts(store="annex")} == {"annex"}
    some = [study for _, study in found[:3]]
    assert [one.study for one in clinic.facts(studies=some)] == some
    assert clinic.facts(studies=[]) == []
    assert clinic.facts(store="xrays", studies=["nobody"]) == []


def test_the_making_of_a_file_is_the_weaker_date(clinic: Clinic) -> None:
    clinic.has(
        [
            image(1, 2, instance_creation_date="20260220"),
            without(image(2, 1, instance_creation_date="20200101"), "study_date"),
            without(image(3, 1, content_date="20190102"), "study_date"),
            without(image(4, 1), "study_date"),
            without(image(5, 1, study_date="20209999"), "series_date"),
        ]
    )
    days = {number: clinic.study(number) for number in range(1, 6)}
    assert (days[1].newest_image, days[1].newest_other) == (
        dt.date(2026, 1, 3),
        dt.date(2026, 2, 20),
    )
    assert (days[2].newest_image, days[2].newest_other) == (None, dt.date(2020, 1, 1))
    assert days[3].newest_image == dt.date(2019, 1, 2)
    assert (days[4].newest_image, days[4].oldest_image) == (None, None)
    assert days[5].newest_image is None


def test_other_images_of_the_patient_are_counted_from_every_store(clinic: Clinic) -> None:
    clinic.has([image(1, 1, patient_id="P", study_date="20100101")])
    clinic.has([image(2, 1, patient_id="P", study_date="20200101")], store="annex")
    old, new = clinic.study(1), clinic.study(2, "annex")
    assert (old.newest_image, old.patient_newest_image) == (
        dt.date(2010, 1, 1),
        dt.date(2020, 1, 1),
    )
    assert new.patient_newest_image == dt.date(2020, 1, 1)
    assert (old.jurisdictions, new.jurisdictions) == ((TX, NY), (NY, TX))


def test_a_patient_with_images_in_a_store_nobody_configures_is_under_no_known_law(
    clinic: Clinic,
) -> None:
    clinic.has([image(1, 1, patient_id="P")])
    clinic.has([image(2, 1, patient_id="P"), image(3, 1)], store="sold")
    assert clinic.study(1).jurisdictions == ()
    assert clinic.study(3, "sold").jurisdictions == ()


@pytest.mark.parametrize(
    ("fields", "doubt"),
    [
        ({"patient_id": ""}, "patient_id_missing"),
        ({"patient_id": "000"}, "patient_id_placeholder"),
        ({"patient_id": "TEST"}, "patient_id_placeholder"),
        ({"patient_identity_removed": "YES"}, "deidentified"),
        ({"quality_control_subject": "YES"}, "phantom"),
        ({"patient_name": "PHANTOM^CT"}, "phantom"),
        ({"acquisition_date": "19990101"}, "dates_disagree"),
    ],
)
def test_each_pitfall_of_a_header_has_its_name(
    small_clinic: Clinic, fields: dict[str, str], doubt: str
) -> None:
    small_clinic.has([image(1, 1), image(1, 2, **{"patient_id": "P1", **fields})])
    small_clinic.has([image(2, 1)])
    assert doubt in small_clinic.study(1).doubts
    assert small_clinic.study(2).doubts == {"not_in_patient_list"}


def test_an_image_without_a_patient_id_does_not_hide_whose_study_it_is(
    small_clinic: Clinic,
) -> None:
    small_clinic.has([image(1, 1), without(image(1, 2), "patient_id")])
    found = small_clinic.study(1)
    assert found.patient == small_clinic.site.catalog.keys.pseudonyms.patient("", "P1")
    assert "patient_id_missing" in found.doubts


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ({"patient_name": "DOE^JANE"}, {"patient_name": "Doe^Jane^^^"}, True),
        ({"patient_name": "DOE^JANE"}, {}, True),
        ({"patient_name": "DOE^JANE"}, {"patient_name": "ROE^JANE"}, False),
        ({"patient_birth_date": "19800102"}, {"patient_birth_date": "1980.01.02"}, True),
        ({"patient_birth_date": "19800102"}, {"patient_birth_date": "unknown"}, True),
        ({"patient_birth_date": "19800102"}, {"patient_birth_date": "19800103"}, False),
    ],
)
def test_one_id_of_two_people_makes_all_their_studies_doubtful(
    clinic: Clinic, one: dict[str, str], other: dict[str, str], agree: bool
) -> None:
    clinic.has([image(1, 1, patient_id="P", **one), image(3, 1, patient_id="P")])
    clinic.has([image(2, 1, patient_id="P", **other)], store="annex")
    for number, store in ((1, "xrays"), (2, "annex"), (3, "xrays")):
        doubts = clinic.study(number, store).doubts
        assert ("patient_id_ambiguous" in doubts) is not agree


def test_a_study_of_several_patients_is_nobodys(clinic: Clinic) -> None:
    clinic.has([image(1, 1, patient_id="A"), image(1, 2, patient_id="B"), image(2, 1)])
    found = clinic.study(1)
    assert found.patient is None
    assert "several_patients" in found.doubts


def test_a_study_in_two_stores_has_the_dates_of_both(clinic: Clinic) -> None:
    clinic.has([image(1, 1, study_date="20100101")])
    clinic.has(
        [image(1, 1, study_date="20150101", modality="MG"), image(1, 2, patient_id="OTHER")],
        store="annex",
    )
    here, there = clinic.study(1), clinic.study(1, "annex")
    assert (here.files, there.files) == (1, 2)
    assert here.newest_image == there.newest_image == dt.date(2026, 1, 3)
    assert here.oldest_image == there.oldest_image == dt.date(2010, 1, 1)
    assert here.is_mammogram
    assert "several_patients" in here.doubts & there.doubts


def test_a_study_of_gone_files_counts_as_before(clinic: Clinic) -> None:
    clinic.has([image(1, 1), image(1, 2)])
    before = clinic.study(1)
    clinic.has([], gone=[b"p/1/1.dcm", b"p/1/2.dcm"], run="r2")
    assert clinic.study(1) == before


@pytest.mark.parametrize("state", ["changed", "unreadable"])
def test_a_file_that_is_not_good_makes_its_study_doubtful(small_clinic: Clinic, state: str) -> None:
    bad = image(1, 2)
    small_clinic.has([image(1, 1), entry(bad.path, state=state, dicom=bad.dicom)])
    assert "file_not_good" in small_clinic.study(1).doubts


@pytest.mark.parametrize("state", ["changed", "unreadable", "vanished"])
def test_an_image_that_cannot_be_read_any_more_stays_with_its_study(
    clinic: Clinic, state: str
) -> None:
    clinic.has([image(1, 1), image(1, 27)])
    before = clinic.study(1)
    clinic.has([entry(b"p/1/27.dcm", state=state)], run="r2")
    after = clinic.study(1)
    assert (after.files, after.patient) == (2, before.patient)
    assert (after.newest_image, after.oldest_image) == (before.newest_image, before.oldest_image)
    assert after.doubts == before.doubts | {"file_not_good"}
    clinic.has([image(1, 27)], run="r3")
    assert clinic.study(1) == before
    clinic.has([entry(b"p/1/27.dcm", sha256="e" * 64)], run="r4")  # replaced by something else
    after = clinic.study(1)
    assert (after.files, after.newest_image) == (2, before.oldest_image)
    assert "file_not_good" in after.doubts


def test_files_of_no_study_and_dicomdirs_are_no_studies(clinic: Clinic) -> None:
    directory = {"media_storage_sop_class_uid": "1.2.840.10008.1.3.10", "patient_id": "P1"}
    clinic.has(
        [
            entry(b"scan.tif", sha256="a" * 64),
            entry(b"cd/DICOMDIR", dicom=directory),
            entry(b"cd2/DICOMDIR", dicom={**directory, "study_instance_uid": "1.2.3.77"}),
            entry(b"odd.dcm", dicom={"patient_id": "P1", "study_date": "20200101"}),
        ]
    )
    assert clinic.facts() == []


@pytest.mark.parametrize(
    ("fields", "is_mammogram"),
    [
        ({"modality": "MG"}, True),
        ({"modality": "DX", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.2.1"}, True),
        ({"modality": "OT", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.13.1.3"}, True),
        ({"modality": "CR", "body_part_examined": "Breast"}, True),
        ({"modality": "US", "body_part_examined": "BREAST"}, False),
        ({"modality": "CT", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"}, False),
        ({"modality": "IO", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.3"}, False),
    ],
)
def test_mammograms_are_known_by_what_they_are(
    small_clinic: Clinic, fields: dict[str, str], is_mammogram: bool
) -> None:
    small_clinic.has([image(1, 1), image(1, 2, **fields)])
    assert small_clinic.study(1).is_mammogram is is_mammogram


def test_a_disposed_study_that_is_back_is_told(clinic: Clinic) -> None:
    clinic.has([image(1, 1), image(2, 1)])
    clinic.has([image(1, 1)], store="annex")
    key = clinic.site.catalog.keys.pseudonyms.study("1.2.3.1")
    with clinic.site.catalog.transaction() as session:
        suppressions.add(session, "xrays", [key], now=NOW)
    assert "disposed_study_is_back" in clinic.study(1).doubts
    assert "disposed_study_is_back" not in clinic.study(1, "annex").doubts
    assert "disposed_study_is_back" not in clinic.study(2).doubts


def test_the_stores_issuer_numbers_images_that_name_none(clinic: Clinic) -> None:
    clinic.has([image(1, 1, patient_id="7"), image(2, 1, patient_id="7", issuer_of_patient_id="O")])
    clinic.has([image(3, 1, patient_id="7"), image(4, 1, patient_id="8")], store="annex")
    clinic.name_issuers(xrays="ELM")
    names = clinic.site.catalog.keys.pseudonyms
    assert clinic.study(1).patient == names.patient("elm", "7")
    assert clinic.study(2).patient == names.patient("o", "7")
    assert clinic.study(3, "annex").patient == names.patient("", "7")
    assert clinic.study(1).jurisdictions == (TX,)  # not the patient 7 of the annex
    clinic.name_issuers(annex="Elm")
    assert clinic.study(3, "annex").patient == names.patient("elm", "7")
    assert clinic.study(1).jurisdictions == (TX, NY)


def test_the_list_speaks_of_the_patients_of_its_issuer(clinic: Clinic) -> None:
    clinic.name_issuers(xrays="ELM", annex="ELM")
    clinic.has([image(1, 1, patient_id="7")])
    clinic.has([image(2, 1, patient_id="7", issuer_of_patient_id="OAK")], store="annex")
    import_patients(clinic.site, clinic.list_of(clinic.line("7", treated="2025-05-06")))
    assert clinic.study(1).last_treatment == dt.date(2025, 5, 6)
    assert clinic.study(2, "annex").doubts == {"not_in_patient_list"}


def test_merges_make_one_person_of_all_their_images(clinic: Clinic) -> None:
    clinic.has([image(1, 1, study_date="20100101"), image(3, 1)])
    clinic.has([image(2, 1, study_date="20200101", patient_name="OTHER^NAME")], store="annex")
    import_patients(
        clinic.site,
        clinic.list_of(
            clinic.line("P1", into="P2", treated="2024-01-01", born="1980-01-02"),
            clinic.line("P2", treated="2019-01-01"),
            clinic.line("P3"),
        ),
    )
    one, two, other = clinic.study(1), clinic.study(2, "annex"), clinic.study(3)
    assert one.patient == two.patient == clinic.site.catalog.keys.pseudonyms.patient("", "P2")
    assert one.last_treatment == two.last_treatment == dt.date(2024, 1, 1)
    assert one.patient_newest_image == two.patient_newest_image == dt.date(2020, 1, 1)
    assert one.born == two.born == dt.date(1980, 12, 31)
    assert one.doubts == two.doubts == other.doubts == frozenset()
    assert other.patient_newest_image == dt.date(2026, 1, 2)


def test_merged_people_whose_images_give_two_birth_dates_are_doubtful(clinic: Clinic) -> None:
    clinic.has([image(1, 1, patient_birth_date="19800102")])
    clinic.has([image(2, 1, patient_birth_date="19900102")])
    import_patients(clinic.site, clinic.list_of(clinic.line("P1", into="P2"), clinic.line("P2")))
    for number in (1, 2):
        assert clinic.study(number).doubts == {"patient_id_ambiguous"}
        assert clinic.study(number).born is None


@pytest.mark.parametrize(
    ("in_image", "in_list", "born", "contradicts"),
    [
        ("", "1980-05-06", dt.date(1980, 12, 31), False),
        ("19800506", "1980-05-06", dt.date(1980, 5, 6), False),
        ("19800507", "1980-05-06", dt.date(1980, 12, 31), True),
        ("19800506", "", dt.date(1980, 5, 6), False),
        ("", "", None, False),
    ],
)
def test_a_birth_date_is_the_images_where_the_list_agrees(
    clinic: Clinic, in_image: str, in_list: str, born: dt.date | None, contradicts: bool
) -> None:
    clinic.has([image(1, 1, patient_birth_date=in_image), image(1, 2)])
    import_patients(clinic.site, clinic.list_of(clinic.line("P1", born=in_list)))
    found = clinic.study(1)
    assert found.born == born
    assert ("birth_date_contradicts" in found.doubts) is contradicts


def test_what_the_list_says_of_a_patient_stands_in_the_facts(clinic: Clinic) -> None:
    clinic.has([image(1, 1), image(2, 1)])
    import_patients(
        clinic.site,
        clinic.list_of(
            clinic.line("P1", treated="2020-01-02", died="2021-02-03", incompetent="1"),
        ),
    )
    found = clinic.study(1)
    assert (found.last_treatment, found.died) == (dt.date(2020, 1, 2), dt.date(2021, 2, 3))
    assert found.is_incompetent
    assert found.doubts == frozenset()
    assert clinic.study(2).doubts == {"not_in_patient_list"}


def test_the_headers_that_ship_with_pydicom_are_all_accounted_for(clinic: Clinic) -> None:
    entries = sample_entries()
    clinic.has(entries)
    found = clinic.facts()
    dated = [one.dicom for one in entries if one.dicom and one.dicom.get("study_instance_uid")]
    assert {one.study for one in found} == {
        clinic.site.catalog.keys.pseudonyms.study(header["study_instance_uid"]) for header in dated
    }
    assert sum(one.files for one in found) == len(dated)
    for one in found:
        # Nobody is in a list yet: every study has a doubt, and says which.
        assert one.doubts & {"not_in_patient_list", "patient_id_missing"}
        if one.patient is None:
            assert one.doubts & {"several_patients", "patient_id_missing"}
    again = clinic.facts(studies=[one.study for one in found])
    assert sorted(again, key=lambda one: one.study) == sorted(found, key=lambda one: one.study)


def test_real_files_of_a_folder_give_the_same_facts_in_any_order(
    small_clinic: Clinic, tmp_path: Path
) -> None:
    sample_store.build(tmp_path / "images", with_data_package=False)
    entries = list(_entries(tmp_path / "images"))
    small_clinic.has(entries)
    found = small_clinic.facts()
    small_clinic.has(reversed(entries), store="annex")
    mirrored = small_clinic.facts(store="annex")
    assert len(found) == len(mirrored) > 20
    for one, other in zip(found, mirrored, strict=True):
        assert (one.study, one.files, one.newest_image, one.doubts - {"several_patients"}) == (
            other.study,
            other.files,
            other.newest_image,
            other.doubts - {"several_patients"},
        )


def _entries(folder: Path) -> Iterator[ManifestEntry]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        header = read_header(data[:8192], lambda length, at, data=data: data[at : at + length])  # type: ignore[misc]
        yield entry(str(path.relative_to(folder)).encode(), size=len(data), dicom=header)
