"""Ids that name nobody, test objects, and names that are the same."""

from __future__ import annotations

import pytest

from orchestrator.retention.patient_id import is_phantom, is_placeholder, normal_name


@pytest.mark.parametrize(
    "text",
    ["", " ", "0", "000000", "-", "?", "N/A", "na", "NONE", "null", "Unknown", "unknown-2", "no id",
     "TEST", "test 1", "TEST^PATIENT", "ANON", "anonymous", "Anon-0017", "Anonymized", "XXXX",
     "\uff34\uff25\uff33\uff34", "dummy", "DEMO", "not available"],
)  # fmt: skip
def test_an_id_that_names_nobody_is_a_placeholder(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text",
    ["1", "100", "4711", "P1", "PAT-001", "A0000", "Testa", "Testino1", "Anonis", "Nadia",
     "Nalan7", "xavier", "ID1", "patient7", "0012", "Nonez4", "UNKNOWNSON", "12-0"],
)  # fmt: skip
def test_an_id_that_may_name_somebody_is_none(text: str) -> None:
    assert not is_placeholder(text)


@pytest.mark.parametrize("text", ["PHANTOM", "QA^PHANTOM", "qa_2020", "Daily Check", "QC-7"])
def test_a_test_object_is_recognised(text: str) -> None:
    assert is_phantom(text)


@pytest.mark.parametrize("text", ["", "Qasim^Ali", "Qcumber", "Fantom^Op", "Aqa^Li"])
def test_a_person_is_no_test_object(text: str) -> None:
    assert not is_phantom(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DOE^JANE", "Doe^Jane^^^"),
        ("Doe^Jane", " doe ^ jane "),
        ("Doe^Jane^^Dr", "Doe^Jane"),
        ("M\u00fcller^Eva", "MU\u0308LLER^EVA"),
        ("Yamada^Tarou=\u5c71\u7530^\u592a\u90ce", "YAMADA^TAROU"),
        ("\uff39amada^Tarou", "Yamada^Tarou"),
        ("Stra\u00dfer^Eva", "STRASSER^EVA"),
        ("", "^^^"),
    ],
)
def test_writings_of_one_name_are_the_same(one: str, other: str) -> None:
    assert normal_name(one) == normal_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Doe^Jane", "Doe^John"), ("Doe^Jane", "Roe^Jane"), ("Doe^John^^^Jr", "Doe^John^^^Sr")],
)
def test_names_of_different_people_are_not(one: str, other: str) -> None:
    assert normal_name(one) != normal_name(other)
