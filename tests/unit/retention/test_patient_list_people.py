"""Patients of a list: the same one twice, merges and their contradictions, holds."""

from __future__ import annotations

import datetime as dt
import io
import random

import pytest

from orchestrator.retention.patient_list import read_rows
from orchestrator.retention.patient_row import Row
from orchestrator.retention.people import (
    Person,
    PersonKey,
    block_changed,
    follow_merges,
    held,
    people_of,
    person_key,
)

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
COLUMNS = (
    "patient_id",
    "birth_date",
    "last_treatment_date",
    "deceased_date",
    "legal_hold",
    "hold_reason",
    "merged_into",
    "issuer",
    "incompetent",
    "exported_at",
)

People = dict[PersonKey, Person]


def rows_of(*patients: dict[str, str]) -> list[Row]:
    lines = [",".join(one.get(name, "") for name in COLUMNS) for one in patients]
    text = "\n".join([",".join(COLUMNS), *lines])
    return read_rows(io.BytesIO(text.encode()), now=NOW, zone=dt.UTC)


def people_in(*patients: dict[str, str], issuer: str = "") -> People:
    people = people_of(rows_of(*patients), issuer=issuer)
    follow_merges(people)
    return people


def patient(patient_id: str, into: str = "", **values: str) -> dict[str, str]:
    return {"patient_id": patient_id, "merged_into": into, **values}


def key(patient_id: str, issuer: str = "") -> PersonKey:
    return person_key(issuer, patient_id)


def test_the_same_row_twice_is_one_patient() -> None:
    people = people_in(patient("7", birth_date="1980-01-02"), patient("7", birth_date="1980-01-02"))
    assert people[key("7")].blocked is None
    assert len(people[key("7")].rows) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"birth_date": "1980-01-03"},
        {"last_treatment_date": "2020-01-01"},
        {"deceased_date": "2020-01-01"},
        {"incompetent": "1"},
        {"merged_into": "8"},
    ],
)
def test_the_same_patient_with_different_facts_is_rejected(other: dict[str, str]) -> None:
    people = people_in(
        patient("7", birth_date="1980-01-02"),
        {**patient("7", birth_date="1980-01-02"), **other},
        patient("8"),
    )
    assert people[key("7")].blocked is not None
    assert all("same_patient_twice" in row.faults for row in people[key("7")].rows)


def test_a_good_row_beside_a_wrong_one_of_the_same_patient_blocks_the_patient() -> None:
    people = people_in(patient("7"), patient("7", birth_date="1980-13-01"))
    assert people[key("7")].blocked == "not_in_patient_list"


def test_issuers_part_patients_and_are_compared_without_case() -> None:
    people = people_in(
        patient("7", issuer="Elm", birth_date="1980-01-02"),
        patient("7", issuer="OAK", birth_date="1990-01-02"),
        patient("7", issuer=" eLM ", birth_date="1980-01-02"),
        patient("7", birth_date="1970-01-02"),
        issuer="PINE",
    )
    assert set(people) == {key("7", "elm"), key("7", "oak"), key("7", "pine")}
    assert all(person.blocked is None for person in people.values())


def test_rows_that_name_nobody_are_no_patients() -> None:
    assert people_in(patient("TEST"), patient("000"), {"issuer": "ELM"}) == {}


def test_merges_are_followed_to_their_end_and_the_later_date_wins() -> None:
    people = people_in(
        patient("1", "2", last_treatment_date="2022-05-06"),
        patient("2", "3", birth_date="1980-01-02", incompetent="1"),
        patient("3", last_treatment_date="2019-01-01"),
    )
    assert [people[key(one)].root for one in "123"] == [key("3")] * 3
    whole = people[key("3")]
    assert whole.last_treatment == dt.date(2022, 5, 6)
    assert whole.born == dt.date(1980, 1, 2)
    assert whole.is_incompetent
    assert all(people[key(one)].blocked is None for one in "123")


def test_a_death_of_any_of_them_is_the_latest_stated() -> None:
    people = people_in(
        patient("1", "2", deceased_date="2021-01-01"), patient("2", deceased_date="2022-01-01")
    )
    assert people[key("2")].died == dt.date(2022, 1, 1)


@pytest.mark.parametrize(
    ("patients", "faults"),
    [
        ([patient("1", "1")], {"1": "merge_cycle"}),
        ([patient("1", "2"), patient("2", "1")], {"1": "merge_cycle", "2": "merge_cycle"}),
        (
            [patient("0a", "1"), patient("1", "2"), patient("2", "1")],
            {"0a": "merge_with_rejected", "1": "merge_cycle", "2": "merge_cycle"},
        ),
        ([patient("1", "9")], {"1": "merge_target_missing"}),
        (
            [patient("1", "2"), patient("2", "9")],
            {"1": "merge_with_rejected", "2": "merge_target_missing"},
        ),
        (
            [patient("1", "2", birth_date="1980-01-02"), patient("2", birth_date="1981-01-02")],
            {"1": "merge_birth_dates_differ", "2": "merge_birth_dates_differ"},
        ),
        (
            [
                patient("1", "2", last_treatment_date="2022-01-01"),
                patient("2", deceased_date="2021-01-01"),
            ],
            {"1": "merge_treated_after_death", "2": "merge_treated_after_death"},
        ),
        (
            [patient("1", "2", last_treatment_date="?"), patient("2"), patient("3", "2")],
            {"2": "merge_with_rejected", "3": "merge_with_rejected"},
        ),
        (
            [patient("1", "2"), patient("2", birth_date="?")],
            {"1": "merge_with_rejected"},
        ),
        (
            [patient("1", "2", issuer="ELM"), patient("2", issuer="OAK")],
            {"1": "merge_target_missing"},
        ),
    ],
)
def test_a_merge_that_contradicts_itself_blocks_everybody_in_it(
    patients: list[dict[str, str]], faults: dict[str, str]
) -> None:
    people = people_in(*patients)
    named = {one.patient_id: person for one, person in people.items()}
    for patient_id, fault in faults.items():
        assert fault in named[patient_id].faults
        assert named[patient_id].blocked == "merge_contradicts"


def test_a_birth_date_that_has_changed_blocks_the_whole_merge() -> None:
    people = people_of(rows_of(patient("1", "2", birth_date="1980-01-02"), patient("2")))
    block_changed(people, [key("1")])
    follow_merges(people)
    assert people[key("1")].blocked == "birth_date_contradicts"
    assert people[key("2")].blocked == "merge_contradicts"


def test_holds_are_found_also_on_rejected_rows() -> None:
    people = people_in(
        patient("1", legal_hold="1", hold_reason="case 17"),
        patient("2", legal_hold="1", birth_date="?"),
        patient("3", legal_hold="0", hold_reason="was released"),
        patient("4", legal_hold="0"),
        patient("4", legal_hold="1"),
    )
    assert dict(held(people)) == {key("1"): "case 17", key("2"): "", key("4"): ""}
    assert people[key("4")].blocked is None


def test_a_hundred_thousand_merges_in_one_chain_are_followed_once() -> None:
    count = 100_000
    people = {
        key(str(number)): Person(
            [Row(number + 2, str(number), merged_into=str(number + 1) if number else "")],
            root=key(str(number)),
        )
        for number in range(1, count)
    }
    people[key(str(count))] = Person([Row(1, str(count))], root=key(str(count)))
    follow_merges(people)  # a quadratic walk would never end
    assert {person.root for person in people.values()} == {key(str(count))}


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_the_rows_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    patients = [
        patient(
            str(number),
            chance.choice(["", "", "", str(chance.randint(1, 12)), "99"]),
            birth_date=chance.choice(["", "1980-01-02", "1980-01-02", "1990-01-02"]),
            last_treatment_date=chance.choice(["", "2020-01-01", "?"]),
        )
        for number in range(1, 12)
    ]

    def outcome(shuffled: list[dict[str, str]]) -> dict[PersonKey, object]:
        return {
            one: (
                person.blocked,
                person.root if person.blocked is None else None,
                person.last_treatment if person.root == one and not person.blocked else None,
            )
            for one, person in people_in(*shuffled).items()
        }

    assert outcome(patients) == outcome(chance.sample(patients, len(patients)))
